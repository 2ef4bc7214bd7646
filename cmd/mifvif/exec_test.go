package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/control"
	"mifvif/lab"
	"mifvif/lab/serve"
)

// members is the group of the tests' configuration: it is on every Debian.
const (
	members   = "users"
	membersID = "100"
)

// byRule has the host's own flows on e1, and bars a user from e2.
const byRule = `
control: {group: ` + members + `}
rules:
  - {name: not-them, match: {user: [4712]}, forbid: [e2], locked: true}
  - {name: not-there, match: {user: [4714], dst: [203.0.113.80/32]}, forbid: [e2], locked: true}
  - {name: house, prefer: [e1]}
`

// appAt builds the static program of testdata/app where everybody may run it.
func appAt(t *testing.T) string {
	t.Helper()
	path := filepath.Join(openDir(t), "app")
	build := exec.Command("go", "build", "-o", path, "./testdata/app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the app: %v: %s", err, out)
	}
	return path
}

// openDir is t.TempDir for all users.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	return dir
}

// in runs a command in a domain.
func (s *site) in(domain string, command ...string) lab.Exit {
	s.t.Helper()
	return s.cli(append([]string{"exec", "--pvd", domain, "--"}, command...)...)
}

// as runs a command of mifvif as a user with some groups.
func (s *site) as(uid int, groups string, args ...string) lab.Exit {
	s.t.Helper()
	exit, err := s.Host.ExecCmd(s.t.Context(), s.command(append([]string{
		"setpriv", "--reuid", strconv.Itoa(uid), "--regid", strconv.Itoa(uid), groups, s.shared(),
	}, args...)...))
	must(s.t, err)
	return exit
}

// shared returns the path of a mifvif that every user may run.
func (s *site) shared() string {
	s.t.Helper()
	path := filepath.Join(openDir(s.t), "mifvif")
	from, err := os.Open(s.binary)
	must(s.t, err)
	defer from.Close()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	must(s.t, err)
	_, err = io.Copy(to, from)
	must(s.t, err)
	must(s.t, to.Close())
	return path
}

// command makes a command that talks to the daemon.
func (s *site) command(args ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "MIFVIF_SOCKET="+s.daemon.Socket())
	return cmd
}

// running is a client whose command runs on.
type running struct {
	*lab.Process
	lines *bufio.Scanner
	pid   int    // of the command
	space string // its network namespace
}

// keep starts a command that stays in a domain.
func (s *site) keep(domain, script string) *running {
	s.t.Helper()
	out, in, err := os.Pipe()
	must(s.t, err)
	s.t.Cleanup(func() { out.Close() })
	cmd := s.command(s.binary, "exec", "--pvd", domain, "sh", "-c", "echo $$ $(readlink /proc/self/ns/net); "+script)
	cmd.Stdout, cmd.Stderr = in, in
	p, err := s.Host.Start(cmd)
	in.Close()
	must(s.t, err)
	r := &running{Process: p, lines: bufio.NewScanner(out)}
	pid, space, _ := strings.Cut(r.next(s.t), " ")
	r.space = space
	r.pid, err = strconv.Atoi(pid)
	must(s.t, err)
	return r
}

func (r *running) next(t *testing.T) string {
	t.Helper()
	if !r.lines.Scan() {
		t.Fatal("the command says nothing any more")
	}
	return r.lines.Text()
}

// gone waits until no process is in a command's network namespace, the daemon holds
// no more files than before and has no flow of a command.
func (s *site) gone(r *running, files int) {
	s.t.Helper()
	s.eventually("the command's namespace is empty", func() bool { return len(lab.Holders([]string{r.space})) == 0 })
	if !s.daemon.Alive() {
		return
	}
	s.eventually("the command's flows are gone", func() bool { return len(s.flowsIn()) == 0 })
	s.eventually("the daemon has closed the command's files", func() bool {
		now, err := s.daemon.Files()
		return err == nil && now <= files
	})
}

// flowsIn returns the flows of commands.
func (s *site) flowsIn() (out []control.Flow) {
	s.t.Helper()
	var all []control.Flow
	must(s.t, json.Unmarshal([]byte(s.cli("flows", "--json").Stdout), &all))
	return slices.DeleteFunc(all, func(f control.Flow) bool { return !strings.HasPrefix(f.Src, "198.18.2.") })
}

// elsewhere captures what a link carries to the public servers.
func (s *site) elsewhere(link string) *lab.Capture {
	s.t.Helper()
	c, err := s.Host.Capture(link, func(r lab.Record) bool {
		return r.Dst == lab.Public4() || r.Dst == lab.Public6() || r.Src == lab.Public4() || r.Src == lab.Public6()
	})
	must(s.t, err)
	s.t.Cleanup(func() { must(s.t, c.Close()) })
	return c
}

func (s *site) silent(c *lab.Capture) {
	s.t.Helper()
	missed, err := c.Missed()
	must(s.t, err)
	if all := c.Records(); len(all) > 0 || missed > 0 {
		s.t.Errorf("the other uplink carried %d packets of the command's, the first %v (%d not seen)", len(all), all, missed)
	}
}

// echoes are the public server's addresses as the app wants them.
func echoes() []string {
	var out []string
	for _, a := range []netip.Addr{lab.Public4(), lab.Public6()} {
		out = append(out, netip.AddrPortFrom(a, lab.PortEcho).String())
	}
	return out
}

// TestCommandUsesItsDomain: TCP, UDP, ping and names, both families, a program
// without C library included.
func TestCommandUsesItsDomain(t *testing.T) {
	s := newSite(t, byRule)
	app := appAt(t)
	for domain, other := range map[string]string{"e1": "e2", "e2": "e1"} {
		network := "NET=n" + domain[1:]
		carried := s.elsewhere(other)
		for _, command := range [][]string{
			append([]string{app, "tcp"}, echoes()...), append([]string{app, "udp"}, echoes()...),
			{"curl", "-sS", "--max-time", "5", "http://203.0.113.80/"},
			{"curl", "-sS", "--max-time", "5", "http://www.example.net/"},
		} {
			exit := s.in(domain, command...)
			want := 1
			if command[0] == app {
				want = 2
			}
			if exit.Code != 0 || strings.Count(exit.Stdout, network) != want {
				t.Errorf("in %s %v: %v, want %s %d times", domain, command, exit, network, want)
			}
		}
		for _, command := range [][]string{
			{"ping", "-n", "-c", "1", "-W", "3", lab.Public4().String()}, {"ping", "-n", "-c", "1", "-W", "3", lab.Public6().String()},
		} {
			if exit := s.in(domain, command...); exit.Code != 0 {
				t.Errorf("in %s %v: %v", domain, command, exit)
			}
		}
		s.silent(carried)
		name := "only-" + domain + ".example.net"
		s.in(domain, app, "name", name)
		for n, resolver := range s.Resolvers {
			asked := slices.ContainsFunc(resolver.Log.Queries(), func(q serve.Query) bool { return strings.HasPrefix(q.Name, name) })
			if asked != (n == "n"+domain[1:]) {
				t.Errorf("the resolver of %s was asked for %s: %v", n, name, asked)
			}
		}
	}
}

// TestCommandIsShown: flows of a command have owner, domain and reason.
func TestCommandIsShown(t *testing.T) {
	s := newSite(t, byRule)
	app := appAt(t)
	r := s.keep("e2", "exec "+app+" hold "+echoes()[0])
	r.next(t)
	flows := s.flowsIn()
	if len(flows) != 1 {
		t.Fatalf("flows of the command: %+v, want one", flows)
	}
	f := flows[0]
	if f.PvD != "e2" || f.Owner.PID != r.pid || f.Owner.Process != "app" || f.Reason != "the command was started for this domain" {
		t.Errorf("the command's flow is shown as %+v", f)
	}
	if exit := s.cli("explain", f.ID, "--json"); exit.Code != 0 || !strings.Contains(exit.Stdout, "the app is bound to another domain") {
		t.Errorf("explain: %v", exit)
	}
}

// TestCommandFailsClosed: when the domain is away the command reaches nothing, and
// everything again when it is back.
func TestCommandFailsClosed(t *testing.T) {
	s := newSite(t, byRule)
	app := appAt(t)
	r := s.keep("e2", "exec "+app+" hold "+echoes()[0])
	r.next(t)
	other := s.elsewhere("e1")
	must(t, s.Host.LinkDown("e2"))
	if got := r.next(t); !strings.Contains(got, "reset") {
		t.Errorf("a connection on the dead uplink: %q, want a reset", got)
	}
	s.eventually("the domain is away", func() bool { return s.stateOf("e2") != "online" })
	for _, command := range [][]string{{app, "tcp", echoes()[0]}, {app, "tcp", echoes()[1]}, {app, "udp", echoes()[0]}, {app, "name", "www.example.net"}} {
		began := time.Now()
		exit := s.in("e2", command...)
		if exit.Code != 9 || time.Since(began) > 10*time.Second || !strings.Contains(exit.Stderr, "reaches nothing until it is online") {
			t.Errorf("%v in a dead domain: %v after %v", command, exit, time.Since(began))
		}
	}
	s.silent(other)
}

func (s *site) stateOf(domain string) string {
	s.t.Helper()
	for _, p := range s.status().PvDs {
		if p.Name == domain {
			return p.State
		}
	}
	return ""
}

// TestCommandLeavesNothing: whoever dies.
func TestCommandLeavesNothing(t *testing.T) {
	s := newSite(t, byRule)
	app := appAt(t)
	before, err := s.Host.Snapshot()
	must(t, err)
	hold := app + " hold " + echoes()[0]
	script := hold + " & setsid " + hold + " & while :; do sleep 1; done"
	s.in("e2", "true")
	files, err := s.daemon.Files()
	must(t, err)
	for what, kill := range map[string]func(r *running){
		"the client is killed":                func(r *running) { r.Kill() },
		"the client is told to end":           func(r *running) { must(t, r.Signal(unix.SIGTERM)) },
		"the command is killed":               func(r *running) { must(t, unix.Kill(r.pid, unix.SIGKILL)) },
		"the client dies and ignores its HUP": func(r *running) { r.Kill() },
	} {
		one := script
		if strings.Contains(what, "ignores") {
			one = "trap '' HUP; " + script
		}
		t.Log(what)
		r := s.keep("e2", one)
		r.next(t)
		r.next(t)
		kill(r)
		<-r.Done()
		s.gone(r, files)
	}
	after, err := s.Host.Snapshot()
	must(t, err)
	if diff := before.Differences(after); len(diff) > 0 {
		t.Errorf("the commands have left:\n%s", strings.Join(diff, "\n"))
	}
}

// TestCommandEndsWithTheDaemon: stopped or killed.
func TestCommandEndsWithTheDaemon(t *testing.T) {
	s := newSite(t, byRule)
	for _, end := range []func(){
		func() { must(t, s.daemon.Stop(t.Context())) },
		func() { s.daemon.Kill() },
	} {
		r := s.keep("e2", "sleep 600 & while :; do sleep 0.1; done")
		end()
		<-r.Done()
		if code := exitCode(t, r.Process); code != 1 {
			t.Errorf("the client exits with %d, want 1", code)
		}
		s.start(byRule)
		s.eventually("the command's namespace is empty", func() bool { return len(lab.Holders([]string{r.space})) == 0 })
	}
}

// exitCode returns how a program has exited, -1 if it has not.
func exitCode(t *testing.T, p *lab.Process) int {
	t.Helper()
	err := p.Wait(t.Context())
	if status, ok := errors.AsType[*exec.ExitError](err); ok {
		return status.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

// TestCommandsExitIsPassedOn, and so is what it reads and is told.
func TestCommandsExitIsPassedOn(t *testing.T) {
	s := newSite(t, byRule)
	dir := openDir(t)
	for script, want := range map[string]int{
		"exit 0": 0, "exit 7": 7, "exit 255": 255, "kill -TERM $$": 128 + int(unix.SIGTERM), "kill -KILL $$": 128 + int(unix.SIGKILL),
		`test "$(pwd)" = ` + dir: 0, `test "$SOME" = "a  b"`: 0, "test $(umask) = 0027": 0, "test ! -t 0": 0, `test "$(cat)" = typed`: 0,
		`test "$(nice)" = 3`: 0, `chrt -p $$ | grep -q BATCH`: 0, `taskset -p $$ | grep -q ': 1$'`: 0, `test "$(ulimit -c)" = 5`: 0, `ls /proc/self/fd | tr -d '\n' | grep -qx 0123`: 0, "test $# = 0": 0,
	} {
		cmd := s.command("sh", "-c", `umask 0027; ulimit -c 5; exec nice -n 3 taskset 1 chrt -b 0 "$0" exec --pvd e1 -- sh -c "$1"`, s.binary, script)
		cmd.Dir, cmd.Stdin = dir, strings.NewReader("typed")
		cmd.Env = append(cmd.Env, "SOME=a  b")
		exit, err := s.Host.ExecCmd(t.Context(), cmd)
		if err != nil || exit.Code != want {
			t.Errorf("%s: %v (%v), want exit %d", script, exit, err, want)
		}
	}
	for _, wrong := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"exec", "--pvd", "e9", "true"}, 2, `there is no domain "e9" (there are: e1, e2)`},
		{[]string{"exec", "--pvd", "e1", "no-such-command"}, 1, "run no-such-command: executable file not found"},
		{[]string{"exec", "--pvd", "e1", "/etc/passwd"}, 1, "permission denied"},
		{[]string{"exec", "true"}, 2, "--pvd"},
		{[]string{"exec", "--pvd", "e1"}, 2, "arg"},
	} {
		if exit := s.cli(wrong.args...); exit.Code != wrong.code || !strings.Contains(exit.Stderr, wrong.says) || strings.Count(exit.Stderr, "\n") != 1 {
			t.Errorf("%v: %v, want exit %d and one line with %q", wrong.args, exit, wrong.code, wrong.says)
		}
	}
	r := s.keep("e1", "trap 'echo told; exit 5' USR1; echo set; while :; do sleep 0.05; done")
	r.next(t)
	must(t, r.Signal(syscall.SIGUSR1))
	if got := r.next(t); got != "told" {
		t.Errorf("the command says %q", got)
	}
	<-r.Done()
	if code := exitCode(t, r.Process); code != 5 {
		t.Errorf("the client exits with %d, want 5", code)
	}
}

// TestCommandsOfUsers: the group's members have commands as themselves; others have
// none; policy holds for them.
func TestCommandsOfUsers(t *testing.T) {
	s := newSite(t, byRule)
	app := appAt(t)
	const user, barred, mute = 4711, 4712, 4714
	member := "--groups=" + membersID + ",4713"
	who := `id -u; id -g; id -G; grep -E '^(Uid|Gid|Cap(Inh|Prm|Eff|Amb))' /proc/self/status | tr '\n\t' '; '; `
	exit := s.as(user, member, "exec", "--pvd", "e2", "sh", "-c", who+app+" tcp "+strings.Join(echoes(), " "))
	lines := strings.Split(exit.Stdout, "\n")
	none := strings.Repeat("0", 16)
	want := "Uid: 4711 4711 4711 4711;Gid: 4711 4711 4711 4711;CapInh: " + none + ";CapPrm: " + none + ";CapEff: " + none + ";CapAmb: " + none + ";"
	if exit.Code != 0 || len(lines) < 4 || lines[0] != "4711" || lines[1] != "4711" || lines[2] != "4711 100 4713" ||
		!strings.HasPrefix(lines[3], want) || strings.Count(exit.Stdout, "NET=n2") != 2 {
		t.Errorf("a member's command: %v", exit)
	}
	for _, forbidden := range []string{
		"mount -t tmpfs none /mnt", "umount /etc/resolv.conf", "ip link set mif0 down", "ip addr add 198.18.0.1/32 dev mif0", "cat /proc/$PPID/environ", "echo x > /etc/resolv.conf",
		"nsenter -t 1 -n true", "kill -9 " + strconv.Itoa(s.daemon.Pid()),
	} {
		if exit := s.as(user, member, "exec", "--pvd", "e2", "sh", "-c", forbidden); exit.Code == 0 {
			t.Errorf("a member's command may %s: %v", forbidden, exit)
		}
	}
	if exit := s.as(user, member, "exec", "--pvd", "e2", "ping", "-n", "-c", "1", "-W", "3", lab.Public4().String()); exit.Code != 0 {
		t.Errorf("a member's ping: %v", exit)
	}
	if exit := s.as(user, "--clear-groups", "exec", "--pvd", "e2", "true"); exit.Code != 1 || !strings.Contains(exit.Stderr, "join control.group") {
		t.Errorf("a user who is no member: %v, want exit 1 and what to do", exit)
	}
	if exit := s.as(barred, member, "exec", "--pvd", "e2", "true"); exit.Code != 4 || !strings.Contains(exit.Stderr, `rule "not-them" keeps the command's flows off e2`) {
		t.Errorf("a user who is kept off the domain: %v, want exit 4 and the rule", exit)
	}
	if exit := s.as(mute, member, "exec", "--pvd", "e2", "ping", "-n", "-c", "1", "-W", "3", lab.Public4().String()); exit.Code == 0 {
		t.Errorf("a ping by a user whom a rule keeps off that address: %v", exit)
	}
	if exit := s.as(barred, member, "exec", "--pvd", "e1", app, "tcp", echoes()[0]); exit.Code != 0 || !strings.Contains(exit.Stdout, "NET=n1") {
		t.Errorf("the same user elsewhere: %v", exit)
	}
}

// TestCommandReachesNotThisHost: the kernel would bring what is sent to any address
// of the host back to it, and IPv6 does so over every uplink.
func TestCommandReachesNotThisHost(t *testing.T) {
	s := newSite(t, byRule)
	app := appAt(t)
	const port = 7777
	must(t, s.Host.Do(func() error {
		l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		}()
		return nil
	}))
	for _, link := range []string{"e1", "e2", "mif0"} {
		all, err := s.Host.Addresses(link)
		must(t, err)
		for _, p := range all {
			to := netip.AddrPortFrom(p.Addr(), port).String()
			if exit := s.in("e1", app, "tcp", to); exit.Code != 9 || !strings.Contains(exit.Stdout, "connect: no route to host") && !p.Addr().IsLinkLocalUnicast() {
				t.Errorf("a command and the host's %s: %v", to, exit)
			}
		}
	}
}

// TestCommandDoesNotHoldTheDaemon: one that is traced stays until the tracer has
// looked at its end, whatever killed it.
func TestCommandDoesNotHoldTheDaemon(t *testing.T) {
	s := newSite(t, byRule)
	r := s.keep("e2", "while :; do sleep 0.1; done")
	runtime.LockOSThread() // which traces
	defer runtime.UnlockOSThread()
	must(t, unix.PtraceSeize(r.pid))
	defer func() { _, _ = unix.Wait4(r.pid, nil, unix.WALL, nil) }()
	r.Kill()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	must(t, s.daemon.Stop(ctx))
}

// TestCommandAsksNobodyAround: who resolves names for the host over a socket is not
// there, nor when it has started again.
func TestCommandAsksNobodyAround(t *testing.T) {
	s := newSite(t, byRule)
	cmd := s.command("unshare", "-m", "sh", "-e", "-c", `
mkdir daemon
mount --bind "$(dirname "$MIFVIF_SOCKET")" daemon
export MIFVIF_SOCKET="$PWD/daemon/$(basename "$MIFVIF_SOCKET")"
mount -t tmpfs none /run
mkdir -p /run/nscd /run/systemd/resolve
start() { rm -f /run/nscd/socket /run/systemd/resolve/io.systemd.Resolve; touch /run/nscd/socket /run/systemd/resolve/io.systemd.Resolve; }
start
(while ! test -e inside; do sleep 0.02; done; start; touch again) >/dev/null 2>&1 &
exec "$0" exec --pvd e1 sh -c '
touch inside
while ! test -e again; do sleep 0.02; done
ls /run/nscd /run/systemd/resolve | grep -e socket -e Resolve
grep -q 198.18.0.2 /etc/resolv.conf'
`, s.binary)
	cmd.Dir = openDir(t)
	exit, err := s.Host.ExecCmd(t.Context(), cmd)
	if err != nil || exit.Code != 0 || exit.Stdout != "" {
		t.Errorf("%v (%v), want nobody there, and our resolver in resolv.conf", exit, err)
	}
}
