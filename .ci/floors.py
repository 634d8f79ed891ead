"""Fails if a conformance corpus passes a smaller share of its cases than was committed.

usage: floors.py FLOORS.json REPORT.json

A floor is the percentage of cases that pass, of those that are not unsupported; and the percentage
that may be unsupported.
"""

import json
import sys


def main():
    floors = json.load(open(sys.argv[1]))
    report = json.load(open(sys.argv[2]))
    problems = []
    for corpus, floor in sorted(floors.items()):
        row = report.get(corpus)
        if row is None:
            problems.append(f"{corpus}: missing from the report")
            continue
        run = row["passed"] + row["failed"]
        passed = 100.0 * row["passed"] / run if run else 100.0
        unsupported = 100.0 * row["unsupported"] / max(row["cases"], 1)
        print(f"{corpus:45} passed {passed:6.2f} % (floor {floor['passed']}), "
              f"unsupported {unsupported:6.2f} % (ceiling {floor['unsupported']})")
        if passed < floor["passed"]:
            problems.append(f"{corpus}: {passed:.2f} % pass, the floor is {floor['passed']} %")
        if unsupported > floor["unsupported"]:
            problems.append(f"{corpus}: {unsupported:.2f} % unsupported, "
                            f"the ceiling is {floor['unsupported']} %")
    problems += [f"{corpus}: no floor is committed" for corpus in sorted(report.keys() - floors.keys())]
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    sys.exit(bool(problems))


main()
