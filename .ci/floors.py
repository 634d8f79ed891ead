"""Fails if a conformance corpus passes fewer of its cases than was committed.

usage: floors.py FLOORS.json KNOWN.json REPORT.json
       floors.py --known REPORT.json > KNOWN.json

A floor is the percentage of cases that pass, of those that are not unsupported; and the percentage
that may be unsupported. It holds for cases that nobody has seen yet. Of those that are known not to
pass, the ids are committed, which fail apart from those that are unsupported: no other may join them,
but for those that are run in real time, of which one that fails is told.
"""

import json
import sys

OUTCOMES = ("failed", "unsupported")
# Run over sockets, in real time: a machine that stands still for a second may fail one of them.
TIMED = ("gateway-api/conformance", "h2spec/envoy_baseline", "traffic/cases")


def outcomes(row):
    """The ids of a corpus that do not pass, by what becomes of them."""
    unsupported = set(row["not_supported"])
    return {"failed": set(row["not_passed"]) - unsupported, "unsupported": unsupported}


def shares(corpus, row, floor):
    run = row["passed"] + row["failed"]
    passed = 100.0 * row["passed"] / run if run else 100.0
    unsupported = 100.0 * row["unsupported"] / max(row["cases"], 1)
    print(f"{corpus:45} passed {passed:6.2f} % (floor {floor['passed']}), "
          f"unsupported {unsupported:6.2f} % (ceiling {floor['unsupported']})")
    if passed < floor["passed"]:
        yield f"{corpus}: {passed:.2f} % pass, the floor is {floor['passed']} %"
    if unsupported > floor["unsupported"]:
        yield (f"{corpus}: {unsupported:.2f} % unsupported, "
               f"the ceiling is {floor['unsupported']} %")


def cases(corpus, row, known):
    found = outcomes(row)
    for outcome in OUTCOMES:
        for case in sorted(found[outcome] - set(known.get(outcome, []))):
            problem = f"{corpus}: {case}: {outcome}, which is not known of it"
            if corpus in TIMED and outcome == "failed":
                print(problem)
            else:
                yield problem
    better = set().union(*known.values()) - set(row["not_passed"])
    if better:
        print(f"{corpus}: better than known, or gone: {', '.join(sorted(better))}")


def check(floors, known, report):
    for corpus, floor in sorted(floors.items()):
        row = report.get(corpus)
        if row is None:
            yield f"{corpus}: missing from the report"
            continue
        yield from shares(corpus, row, floor)
        yield from cases(corpus, row, known.get(corpus, {}))
    for corpus in sorted(report.keys() - floors.keys()):
        yield f"{corpus}: no floor is committed"


def main():
    files = sys.argv[1:]
    if files[:1] == ["--known"]:
        report = json.load(open(files[1]))
        known = {corpus: {outcome: sorted(ids) for outcome, ids in outcomes(row).items() if ids}
                 for corpus, row in report.items()}
        known = {corpus: ids for corpus, ids in known.items() if ids}
        print(json.dumps(known, indent=1, sort_keys=True, ensure_ascii=False))
        return
    problems = list(check(*(json.load(open(file)) for file in files)))
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    sys.exit(bool(problems))


main()
