package lab_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"mifvif/lab"
	"mifvif/lab/labtest"

	"go.uber.org/goleak"
)

// builderVariable makes the test binary build a world, say what it made, and
// wait to be killed.
const builderVariable = "MIFVIF_LAB_BUILDER"

func TestMain(m *testing.M) {
	if os.Getenv(builderVariable) != "" {
		buildAndWait()
	}
	goleak.VerifyTestMain(m)
}

func buildAndWait() {
	layout := lab.WithTunnel()
	layout.Networks[0].Impairment = &lab.WireConfig{}
	c, err := lab.NewCommon(layout, nil)
	if err != nil {
		panic(err)
	}
	p, err := c.Host.Start(exec.Command("sleep", "600"))
	if err != nil {
		panic(err)
	}
	fmt.Println("child", p.Pid())
	for _, n := range c.Nodes() {
		fmt.Println("node", n.ID())
	}
	fmt.Println("built")
	select {}
}

func TestClosedWorldLeavesNothing(t *testing.T) {
	c := newCommon(t, wired(lab.WireConfig{}))
	p, err := c.Host.Start(exec.Command("sleep", "600"))
	if err != nil {
		t.Fatal(err)
	}
	if got := fetch(t, c, 100_000); got != 100_000 {
		t.Fatalf("fetched %d", got)
	}
	check := c.LeakCheck()
	if len(check.Held(0)) == 0 {
		t.Fatal("an open world holds no namespace: the check looks at nothing")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if held := check.Held(5 * time.Second); len(held) != 0 {
		t.Errorf("still held: %v", held)
	}
	select {
	case <-p.Done():
	default:
		t.Error("a child outlived its world")
	}
}

func TestKilledWorldLeavesNothing(t *testing.T) {
	labtest.Need(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), builderVariable+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var nodes []string
	child := ""
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "built"; {
		what, id, _ := strings.Cut(lines.Text(), " ")
		if what == "child" {
			child = id
		} else {
			nodes = append(nodes, id)
		}
	}
	if child == "" || len(lab.Holders(nodes)) == 0 {
		t.Errorf("child %q, holders %v: nothing was built", child, lab.Holders(nodes))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()             // killed
	held := lab.Holders(nodes) // once nobody holds them another test's may get their numbers
	for deadline := time.Now().Add(5 * time.Second); len(held) > 0 && time.Now().Before(deadline); held = lab.Holders(nodes) {
		time.Sleep(10 * time.Millisecond)
	}
	if len(held) > 0 {
		t.Errorf("a killed world is still held by %v", held)
	}
}
