#!/bin/bash
# Builds the solution and runs every test: run-tests.sh [Release|Debug]. The last line is `N passed, N failed, N skipped`; exit
# status 1 when anything failed or nothing ran.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

configuration=${1:-Release}
project_seconds=${HECA_TEST_SECONDS:-1300}
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log" "$log.xml"' EXIT

finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}

broken() {
    echo "run-tests: $*" >&2
    failed=$((failed + 1))
}

if ! dotnet build Hecatonchire.sln --nologo --verbosity quiet --configuration "$configuration"; then
    broken "the solution does not build"
    finish
fi

# The figure after a name in xunit's summary line: "Total: 12, Errors: 0, Failed: 0, Skipped: 1, Not Run: 0, Time: 0.5s".
figure() { sed -n "s/.*\b$1: \([0-9]*\).*/\1/p" <<<"$summary"; }

run_project() {
    local name=$1 program=$2 status
    echo "== $name"
    timeout --kill-after=10 "$project_seconds" "$program" -noLogo -noColor </dev/null 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    summary=$(grep -E 'Total: [0-9]+, Errors: [0-9]+, Failed: [0-9]+' "$log" | tail -n1)
    if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
        broken "$name did not end within $project_seconds s"
    elif [ -z "$summary" ]; then
        broken "$name ended with status $status and without a summary"
    else
        local bad=$(($(figure Failed) + $(figure Errors))) left=$(($(figure Skipped)))
        failed=$((failed + bad))
        skipped=$((skipped + left))
        passed=$((passed + $(figure Total) - $(figure Failed) - left))
        # xunit's status 1 is a failed test; anything else that is not 0 happened beside them.
        [ "$status" -eq 0 ] || [ "$bad" -gt 0 ] || [ "$(figure Total)" -eq 0 ] || broken "$name ended with status $status"
    fi
}

for project in tests/*.Tests; do
    name=$(basename "$project")
    # A project without a test in it has nothing to say.
    grep -rqE '\[(Fact|Theory)' --include='*.cs' --exclude-dir=obj --exclude-dir=bin "$project" || continue
    program="$project/bin/$configuration/net10.0/$name"
    if [ -x "$program" ]; then
        run_project "$name" "$program"
    else
        broken "$program was not built"
    fi
done

echo "== native"
timeout --kill-after=10 "$project_seconds" ctest --test-dir native/build --output-on-failure --no-tests=error \
    --output-junit "$log.xml" </dev/null
status=$?
suite=$(tr '\n' ' ' <"$log.xml" 2>/dev/null | grep -o '<testsuite [^>]*>' || true)
attribute() { sed -n "s/.*[[:space:]]$1=\"\([0-9]*\)\".*/\1/p" <<<"$suite"; }
if [ -z "$suite" ]; then
    broken "ctest ended with status $status and without a report"
else
    left=$(($(attribute skipped) + $(attribute disabled)))
    failed=$((failed + $(attribute failures)))
    skipped=$((skipped + left))
    passed=$((passed + $(attribute tests) - $(attribute failures) - left))
    [ "$status" -eq 0 ] || [ "$(attribute failures)" -gt 0 ] || broken "ctest ended with status $status"
fi

finish
