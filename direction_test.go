package mifvif_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// floor says on which floor of the house a package stands (ARCHITECTURE.md): a
// package imports only from floors below its own, so stations never import
// each other.
func floor(pkg string) int {
	floors := [][]string{
		{"flow", "packet", "poll", "quota", "cell"},
		{"netwatch", "owner"},
		{"tun", "pvd"},
		{"stack", "scheduler", "nat", "dns", "uplinks"},
		{"relay", "control", "config"},
		{"cmd"},
	}
	top, _, _ := strings.Cut(strings.TrimPrefix(pkg, "mifvif/"), "/")
	for i, names := range floors {
		if slices.Contains(names, top) {
			return i
		}
	}
	return -1 // lab and bench stand aside
}

// station is the top folder of a package: parts of one station may import each other.
func station(pkg string) string {
	top, _, _ := strings.Cut(strings.TrimPrefix(pkg, "mifvif/"), "/")
	return top
}

func TestPackagesImportOnlyDownwards(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		pkg := fields[0]
		for _, imp := range fields[1:] {
			if !strings.HasPrefix(imp, "mifvif/") || station(imp) == station(pkg) {
				continue
			}
			seen++
			if why := forbidden(pkg, imp); why != "" {
				t.Errorf("%s imports %s: %s", pkg, imp, why)
			}
		}
	}
	if seen == 0 {
		t.Fatal("no import between packages seen: the test looks at nothing")
	}
}

// forbidden returns why pkg must not import imp, "" if it may.
func forbidden(pkg, imp string) string {
	from, to := floor(pkg), floor(imp)
	aside := station(imp) == "lab" || station(imp) == "bench"
	switch {
	case aside && station(pkg) != "cmd" && station(pkg) != "bench":
		return "only cmd and bench may use what stands aside"
	case station(pkg) == "lab" && to > 0:
		return "the lab drives the real binary and imports none of the stations"
	case from >= 0 && to >= from:
		return "it does not stand on a lower floor"
	}
	return ""
}
