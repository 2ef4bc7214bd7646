package cell

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestAskerIsReadAsTheKernelHasIt: this process asks itself.
func TestAskerIsReadAsTheKernelHasIt(t *testing.T) {
	_, server := pair(t)
	a, err := readAsker(server)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	if a.pid != os.Getpid() || a.uid != os.Geteuid() || a.gid != os.Getegid() || a.status.uid != a.uid || len(a.spaces) != 0 {
		t.Errorf("read %+v", a)
	}
	groups, err := os.Getgroups()
	if err != nil || len(groups) != len(a.groups) {
		t.Errorf("groups %v, want %v (%v)", a.groups, groups, err)
	}
	var own []unix.Rlimit
	for i := range a.limits {
		var l unix.Rlimit
		if err := unix.Getrlimit(i, &l); err != nil {
			t.Fatal(err)
		}
		own = append(own, l)
	}
	if diff := cmp.Diff(own, a.limits); diff != "" || len(own) != 16 {
		t.Errorf("%d limits:\n%s", len(own), diff)
	}
}

// TestStrangersAreRefused: the process at the other end is in another namespace of
// processes, as in a container.
func TestStrangersAreRefused(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	if err := cmd.Start(); err != nil {
		t.Skipf("namespaces need root: %v", err)
	}
	defer cmd.Wait() //nolint:errcheck // it was killed
	defer cmd.Process.Kill()
	if same, err := sameSpace(cmd.Process.Pid, "pid"); err != nil || same {
		t.Errorf("another process namespace is taken for ours (%v)", err)
	}
	if same, err := sameSpace(cmd.Process.Pid, "user"); err != nil || !same {
		t.Errorf("our own user namespace is taken for another (%v)", err)
	}
	a := &asker{pid: cmd.Process.Pid}
	if err := a.read(); err == nil {
		t.Error("a process of another process namespace was served")
	}
}

func TestStatusAndLimitsAreParsed(t *testing.T) {
	s := parseStatus([]byte("Name:\tx\nUid:\t1000\t0\t0\t0\nCapPrm:\t0000000000000003\nCapBnd:\t000001fffffffffe\nNoNewPrivs:\t1\nSeccomp_filters:\t2\nbroken\nUmask\n"))
	if want := (status{uid: 1000, permitted: 3, bounding: 0x1fffffffffe, filters: 2, locked: true}); s != want {
		t.Errorf("status %+v, want %+v", s, want)
	}
	if got := s.reachable(); got != 2 {
		t.Errorf("a process with no_new_privs reaches %#x, want 2: no more than it has", got)
	}
	if s.locked = false; s.reachable() != s.bounding {
		t.Errorf("a process without reaches %#x, want its bounding set", s.reachable())
	}
	if s := parseStatus(nil); s != (status{uid: -1}) {
		t.Errorf("no status is %+v", s)
	}
	line := func(soft, hard string) string {
		return "Max open files            " + soft + "   " + hard + "   files\n"
	}
	got := parseLimits([]byte("Limit                     Soft Limit           Hard Limit           Units\n" + line("1024", "unlimited") + line("x", "0") + "short"))
	if diff := cmp.Diff([]unix.Rlimit{{Cur: 1024, Max: unix.RLIM_INFINITY}, {}}, got); diff != "" {
		t.Errorf("limits:\n%s", diff)
	}
	if parseLimits(nil) != nil {
		t.Error("no limits are some")
	}
}

func TestOwnControlGroupIsFound(t *testing.T) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Skip("there are no control groups")
	}
	if got := unified("/proc/" + strconv.Itoa(os.Getpid()) + "/cgroup"); got != "" && got[0] != '/' {
		t.Errorf("the control group is %q in %q", got, b)
	}
}
