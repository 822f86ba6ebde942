"""Adds up what ctest and the end-to-end tests found: report.py FOLDER.

The folder holds ctest.xml (ctest's JUnit file), cases/*.xml (one of each GoogleTest program) and e2e.log. Prints each
failure, the reasons of what was skipped, and last "N passed, N failed, N skipped". Exit code 1 if anything failed.
"""
import collections
import os
import re
import sys
import xml.etree.ElementTree as xml


class Report:
    def __init__(self):
        self.passed, self.failures = 0, []
        self.skipped = collections.defaultdict(list)

    def skip(self, name, reason):
        self.skipped[reason].append(name)

    def add_google_test(self, path):
        """True if the file was whole; a program that crashed leaves none."""
        program = os.path.splitext(os.path.basename(path))[0]
        try:
            cases = list(xml.parse(path).getroot().iter("testcase"))
        except (OSError, xml.ParseError):
            return False
        for case in cases:
            name = f"{program}: {case.get('classname')}.{case.get('name')}"
            skipped = case.find("skipped")
            if case.get("status") == "notrun":
                self.skip(name, "disabled")
            elif case.find("failure") is not None:
                self.failures.append(name)
            elif skipped is not None or case.get("result") == "skipped":
                text = (skipped.get("message") or skipped.text or "") if skipped is not None else ""
                lines = [line for line in text.splitlines() if line.strip() and not re.match(r"^\S+\.(cpp|hpp):\d+$", line)]
                self.skip(name, " ".join(lines) or "no reason given")
            else:
                self.passed += 1
        return True

    def add_ctest(self, path, folder):
        try:
            entries = list(xml.parse(path).getroot().iter("testcase"))
        except (OSError, xml.ParseError):
            self.failures.append("ctest did not finish")
            return
        for entry in entries:
            name, bad = entry.get("name"), entry.find("failure") is not None
            before = len(self.failures)
            counted = self.add_google_test(os.path.join(folder, name + ".xml"))
            if bad and len(self.failures) == before:
                self.failures.append(f"{name} (ended badly)")
            elif not counted and entry.get("status") in ("notrun", "disabled"):
                self.skip(name, reason_of(entry))
            elif not counted and not bad:
                self.passed += 1

    def add_e2e(self, path):
        text = open(path, encoding="utf-8").read() if os.path.exists(path) else ""
        total = re.search(r"^e2e: (\d+) passed", text, re.M)
        if not total:
            self.failures.append("e2e: the end-to-end tests did not finish")
        else:
            self.passed += int(total.group(1))
        for name in re.findall(r"^FAILED +[\d.]+ s  (.*)$", text, re.M):
            if f"e2e: {name}" not in self.failures:
                self.failures.append(f"e2e: {name}")
        for name, reason in re.findall(r"^skipped +[\d.]+ s  (.*?): (.*)$", text, re.M):
            self.skip(f"e2e: {name}", reason)

    def show(self):
        for reason, names in sorted(self.skipped.items()):
            print(f"skipped {len(names)}: {reason}")
            for name in names:
                print(f"    {name}")
        for name in self.failures:
            print(f"FAILED: {name}")
        skipped = sum(len(names) for names in self.skipped.values())
        print(f"{self.passed} passed, {len(self.failures)} failed, {skipped} skipped")


def reason_of(entry):
    """Why ctest did not run it; a program that ends with the code for "skipped" says why in its last line."""
    element = entry.find("skipped")
    reason = element.get("message", "not run") if element is not None else "not run"
    lines = (entry.findtext("system-out") or "").strip().splitlines()
    return lines[-1] if reason.startswith("SKIP_RETURN_CODE") and lines else reason


def main(folder):
    report = Report()
    report.add_ctest(os.path.join(folder, "ctest.xml"), os.path.join(folder, "cases"))
    report.add_e2e(os.path.join(folder, "e2e.log"))
    report.show()
    return 1 if report.failures else 0


sys.exit(main(sys.argv[1]))
