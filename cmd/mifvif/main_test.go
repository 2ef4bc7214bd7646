package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"mifvif": func() { os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// TestCommands runs the scripts in testdata: what a person types and gets.
func TestCommands(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", UpdateScripts: os.Getenv("UPDATE") != ""})
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// TestAnAnswerThatIsNotWrittenFails, or a script goes on with half of it.
func TestAnAnswerThatIsNotWrittenFails(t *testing.T) {
	for _, line := range []string{"version", "version --json", "check --print-defaults", "lab list", "lab list --json"} {
		var errs bytes.Buffer
		if got := execute(strings.Fields(line), full{}, &errs); got != exitFailed || !strings.Contains(errs.String(), "write the answer: no space left") {
			t.Errorf("mifvif %s: exit %d, %s", line, got, &errs)
		}
	}
}

// TestExitCodes are the contract's: 2 is the person's mistake, 3 no daemon.
func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	none := "--socket=" + filepath.Join(dir, "none.sock")
	bad := filepath.Join(dir, "bad.yaml")
	if err := os.WriteFile(bad, []byte("rule: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(dir, "open")
	if err := errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, 0o777)); err != nil {
		t.Fatal(err)
	}
	cases := map[string]int{
		"version": 0, "--version": 0, "help": 0, "": 0, "lab": 0, "lab list": 0, "completion": 0, "bench list": 0, "check --print-defaults": 0,
		"help status": 0, "help rules add": 0, "help dance": 2, "help rules dance": 2, "explain --dscp dance 192.0.2.1": 2, "explain --dscp EF 192.0.2.1 " + none: 3,
		"dance": 2, "lab dance": 2, "completion dance": 2, "lab run 9.9-9": 2, "lab run --system bsd": 2, "lab shell dance": 2, "bench dance": 2,
		"bench --turns 0": 2, "status extra": 2, "status --dance": 2, "pvds a b": 2, "explain": 2, "explain --port 70000 192.0.2.1": 2,
		"explain --dscp 64 192.0.2.1": 2, "explain --proto sctp 192.0.2.1": 2, "top": 2, "top extra": 2, "top --json": 2, "exec": 2, "exec true": 2, "exec --pvd n1": 2, "check -c " + bad: 2, "run -c " + bad: 2, "run --log-level loud": 2,
		"check -c " + filepath.Join(dir, "absent.yaml"): 1,
		"status " + none: 3, "flows " + none: 3, "flows --follow " + none: 3, "pvds " + none: 3, "reload " + none: 3, "explain 192.0.2.1 " + none: 3, "exec --pvd n1 " + none + " true": 3,
	}
	if os.Geteuid() == 0 {
		cases["run --state "+open], cases["cleanup --state "+open] = 2, 2
	} else {
		cases["run"], cases["cleanup"] = 1, 1
	}
	for line, want := range cases {
		var out, errs bytes.Buffer
		if got := execute(strings.Fields(line), &out, &errs); got != want {
			t.Errorf("mifvif %s: exit %d, want %d: %s", line, got, want, errs.String())
		}
		if want != 0 && want != 4 && errs.Len() == 0 {
			t.Errorf("mifvif %s says nothing on standard error", line)
		}
	}
}
