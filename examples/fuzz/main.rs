//! Feeds the parsers of foreign bytes what nobody would write.
//!
//! ```sh
//! cargo run --release --example fuzz -- --target yaml --runs 100000 --seed 7
//! ```
//!
//! Inputs are mutations of each target's seeds: on stable Rust, without feedback from the code. A
//! run is repeatable from its seed. A panic, a claim that does not hold, an input that takes longer
//! than ten seconds and one that takes more than a gibibyte end the program, and print the input.
#![expect(clippy::print_stdout, reason = "a command tells what it did")]

mod guard;
mod mutate;
mod targets;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use examples::help;
use fastrand::Rng;

use crate::guard::Guard;
use crate::mutate::Mutator;
use crate::targets::{TARGETS, Target};

/// Feed parsers mutated inputs.
#[derive(Debug, Parser)]
#[command(
    name = "fuzz",
    after_help = help::after(
        &["cargo run --release -p examples --features kubernetes --example fuzz -- --target yaml --runs 100000"],
        "It prints how many inputs each target took. An input that makes one panic or break a promise, or takes\n\
         ten seconds or a gibibyte, is printed, and ends the program.",
    )
)]
struct Arguments {
    /// What to feed; all, one after the other, by default.
    #[arg(long, value_parser = target)]
    target: Option<&'static Target>,
    /// How many inputs each target gets.
    #[arg(long, default_value_t = 10_000)]
    runs: u64,
    /// Seed of the mutations.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Stop a target after so many seconds, whatever is left of its runs.
    #[arg(long)]
    seconds: Option<u64>,
}

fn target(name: &str) -> Result<&'static Target, String> {
    let found = TARGETS.iter().find(|target| target.name == name);
    found.copied().ok_or_else(|| {
        let known: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        format!("there are {}", known.join(", "))
    })
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let guard = Guard::start();
    let all = TARGETS.iter().copied();
    let chosen = all.filter(|target| {
        arguments
            .target
            .is_none_or(|chosen| chosen.name == target.name)
    });
    for target in chosen {
        let runs = run(target, &arguments, &guard);
        println!("{}: {runs} runs", target.name);
    }
    ExitCode::SUCCESS
}

#[expect(
    clippy::disallowed_methods,
    reason = "the seconds are those of whoever waits"
)]
fn run(target: &Target, arguments: &Arguments, guard: &Guard) -> u64 {
    let deadline = arguments.seconds.map(Duration::from_secs);
    let started = Instant::now();
    let mut feed = (target.start)();
    let mut mutator = Mutator::new(Rng::with_seed(arguments.seed), target);
    for run in 0..arguments.runs {
        if deadline.is_some_and(|deadline| started.elapsed() > deadline) {
            return run;
        }
        let input = mutator.next_input();
        guard.watch(target.name, run, &input);
        feed(&input);
    }
    arguments.runs
}
