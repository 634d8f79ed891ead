//! The program, in this process: its options, and what it does while files and signals come.
//!
//! It is not run as a process of its own: `cargo test` does not promise that the program of an example
//! that has tests is built. So the tests begin where `main` does, after the command line is read.

mod logs;
mod options;
mod questions;
mod reload;
mod scene;
mod terminated;
