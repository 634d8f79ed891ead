"""Fails if a conformance corpus passes fewer of its cases than was committed.

usage: floors.py FLOORS.json KNOWN.json REPORT.json CORPORA
       floors.py --known REPORT.json CORPORA > KNOWN.json

A floor is the percentage of cases that pass, of those that are not unsupported; and the percentage
that may be unsupported. It holds for cases that nobody has seen yet. Of the corpora that were there when
KNOWN.json was written, which are told by their digest, the ids are committed that do not pass, failed and
unsupported apart: no other may join them. One that is run in real time and fails is told only.
"""

import hashlib
import json
import pathlib
import sys

OUTCOMES = ("failed", "unsupported")
# Run over sockets, in real time: a machine that stands still for a second may fail one of them.
TIMED = ("gateway-api/conformance", "h2spec/envoy_baseline", "traffic/cases")


def digest(corpora):
    """Tells the files of one set of corpora from those of another."""
    found = hashlib.sha256()
    root = pathlib.Path(corpora)
    for file in sorted(file for file in root.rglob("*") if file.is_file()):
        found.update(str(file.relative_to(root)).encode() + b"\0")
        found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


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


def check(floors, known, report, corpora):
    is_known = known["digest"] == digest(corpora)
    if not is_known:
        print("other cases than those that are known: the floors alone hold")
    for corpus, floor in sorted(floors.items()):
        row = report.get(corpus)
        if row is None:
            yield f"{corpus}: missing from the report"
            continue
        yield from shares(corpus, row, floor)
        if is_known:
            yield from cases(corpus, row, known["cases"].get(corpus, {}))
    for corpus in sorted(report.keys() - floors.keys()):
        yield f"{corpus}: no floor is committed"


def load(file):
    with open(file) as opened:
        return json.load(opened)


def main():
    if sys.argv[1] == "--known":
        report, corpora = load(sys.argv[2]), sys.argv[3]
        found = {corpus: {outcome: sorted(ids) for outcome, ids in outcomes(row).items() if ids}
                 for corpus, row in report.items()}
        known = {"digest": digest(corpora), "cases": {c: ids for c, ids in found.items() if ids}}
        print(json.dumps(known, indent=1, sort_keys=True, ensure_ascii=False))
        return
    floors, known, report = (load(file) for file in sys.argv[1:4])
    problems = list(check(floors, known, report, sys.argv[4]))
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    sys.exit(bool(problems))


main()
