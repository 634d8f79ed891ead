"""Holds the crates apart, and their dependency trees small.

The four siblings may not depend on each other, the number of crates each brings may exceed the
budget by three at most, and matching alone brings neither a runtime nor layers nor a parser.
"""

import fnmatch
import json
import subprocess
import sys

SIBLINGS = {"mesh-routing", "mesh-tls", "mesh-discovery", "mesh-policy"}
BANNED = {"openssl-sys", "native-tls", "serde_yaml", "serde_yml", "rustls-pemfile"}
# (crate, features) -> what its tree may not have; `*` stands for any ending.
FORBIDDEN = {
    ("mesh-routing", ""): ["granit-parser", "tokio*", "tower*"],
}
SLACK = 3
# (crate, features) -> crates in the tree, the crate itself included. `None` is the default.
BUDGET = {
    ("mesh-core", ""): 21,
    ("mesh-core", None): 36,
    ("mesh-routing", ""): 25,
    ("mesh-routing", None): 48,
    ("mesh-tls", ""): 65,
    ("mesh-tls", None): 68,
    ("mesh-discovery", ""): 36,
    ("mesh-discovery", None): 61,
    ("mesh-policy", ""): 40,
    ("mesh-policy", None): 40,
}


def cargo(*arguments):
    return subprocess.run(
        ["cargo", *arguments], check=True, capture_output=True, text=True
    ).stdout


def tree(crate, features):
    options = [] if features is None else ["--no-default-features", "--features", features]
    lines = cargo("tree", "-p", crate, "-e", "normal", "--prefix", "none", *options)
    return {line.split()[0] + " " + line.split()[1] for line in lines.splitlines() if line}


def main():
    problems = []
    metadata = json.loads(cargo("metadata", "--format-version", "1"))
    for package in metadata["packages"]:
        if package["name"] in BANNED:
            problems.append(f"`{package['name']}` is banned")
        if package["name"] in SIBLINGS:
            names = {dependency["name"] for dependency in package["dependencies"]}
            for other in sorted(names & SIBLINGS - {package["name"]}):
                problems.append(f"`{package['name']}` depends on its sibling `{other}`")
    for (crate, features), budget in BUDGET.items():
        crates = tree(crate, features)
        count = len(crates)
        label = "default" if features is None else "no features"
        print(f"{crate:15} {label:12} {count:3} crates (budget {budget})")
        if count > budget + SLACK:
            problems.append(f"`{crate}` with {label} brings {count} crates, budget {budget}")
        for pattern in FORBIDDEN.get((crate, features), []):
            for name in sorted(fnmatch.filter((one.split()[0] for one in crates), pattern)):
                problems.append(f"`{crate}` with {label} brings `{name}`, which it may not")
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    sys.exit(bool(problems))


main()
