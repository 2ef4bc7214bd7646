package control

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func handlers() Handlers {
	return Handlers{
		Status: func() Status { return Status{Version: "test", PvDs: []PvD{{Name: "fiber"}}} },
		PvDs:   func() []PvD { return []PvD{{Name: "fiber"}} },
		Flows:  func() []Flow { return []Flow{{ID: "t1"}} },
		Explain: func(q Question) (Explanation, error) {
			if q.Target == "bad" {
				return Explanation{}, Mistake{errors.New("that is no target (an address is)")}
			}
			return Explanation{Decision: &Decision{PvD: "fiber"}}, nil
		},
		Reload: func(context.Context) error { return errors.New("f.yaml:1:1: wrong") },
	}
}

// serve starts a server at path and returns it with its stop function.
func serve(t *testing.T, path string) (*Server, func()) {
	t.Helper()
	s, err := Listen(path, "", handlers(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return s, func() { cancel(); wg.Wait() }
}

func TestClientGetsDocumentsAndErrorsAsTheyAre(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	_, stop := serve(t, path)
	defer stop()
	c := Dial(path, true)
	ctx := t.Context()
	if s, err := c.Status(ctx); err != nil || s.Version != "test" || len(s.PvDs) != 1 {
		t.Errorf("status: %+v, %v", s, err)
	}
	if f, err := c.Flows(ctx); err != nil || len(f) != 1 {
		t.Errorf("flows: %+v, %v", f, err)
	}
	if e, err := c.Explain(ctx, Question{Target: "192.0.2.1"}); err != nil || e.Decision.PvD != "fiber" {
		t.Errorf("explain: %+v, %v", e, err)
	}
	_, err := c.Explain(ctx, Question{Target: "bad"})
	if err == nil || err.Error() != "that is no target (an address is)" || !errors.As(err, new(Mistake)) {
		t.Errorf("an error arrives as %v", err)
	}
	if err := c.Reload(ctx); err == nil || err.Error() != "f.yaml:1:1: wrong" || errors.As(err, new(Mistake)) {
		t.Errorf("reload: %v", err)
	}
}

func TestNobodyThereIsSaidSo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	if _, err := Dial(path, true).Status(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no socket: %v", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close() // a socket that a killed daemon left
	if _, err := Dial(path, true).Status(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a socket without server: %v", err)
	}
	_, stop := serve(t, path)
	defer stop()
	if _, err := Dial(path, true).Status(t.Context()); err != nil {
		t.Errorf("after a start over a stale socket: %v", err)
	}
}

func TestTwoDaemonsShareADirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	first, stopFirst := serve(t, path)
	second, stopSecond := serve(t, path)
	if first.Path() != path || second.Path() == path {
		t.Errorf("sockets %s and %s, want the second beside the first", first.Path(), second.Path())
	}
	if _, err := os.Stat(second.Path()); err != nil {
		t.Errorf("the second socket: %v", err)
	}
	stopSecond()
	if _, err := os.Stat(second.Path()); !os.IsNotExist(err) {
		t.Errorf("the second socket stays: %v", err)
	}
	if _, err := Dial(path, true).Status(t.Context()); err != nil {
		t.Errorf("the first daemon no longer answers: %v", err)
	}
	stopFirst()
}

func TestOnlyASocketIsReplaced(t *testing.T) {
	dir := t.TempDir()
	file, empty := filepath.Join(dir, "file"), filepath.Join(dir, "empty")
	if err := errors.Join(os.WriteFile(file, []byte("precious"), 0o600), os.Mkdir(empty, 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, empty} {
		if _, err := Listen(path, "", handlers(), slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("a socket was opened over %s", path)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("what was there is gone: %v", err)
		}
	}
}

// TestOnlyDeadSocketsAreRemoved: what a killed daemon left goes, and nothing else.
func TestOnlyDeadSocketsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	socket := func(name string) *net.UnixListener {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, name), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		return l
	}
	defer socket("served.sock").Close()
	socket("dead.sock").Close()
	socket(filepath.Base(beside("served.sock"))).Close()
	if err := os.WriteFile(filepath.Join(dir, "file.sock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"served.sock", "dead.sock", "file.sock", "none.sock"} {
		if err := RemoveDead(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	var left []string
	all, err := os.ReadDir(dir)
	for _, f := range all {
		left = append(left, f.Name())
	}
	if want := []string{"file.sock", "served.sock"}; err != nil || !slices.Equal(left, want) {
		t.Errorf("%q are left, want %q", left, want)
	}
}

func TestFloodIsTurnedAwayAndForgotten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	_, stop := serve(t, path)
	defer stop()
	var open []net.Conn
	for range 4 * maxConns {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte("POST /v1/explain HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n{{{"))
		open = append(open, c)
	}
	for _, c := range open {
		c.Close()
	}
	for range 100 {
		if _, err := Dial(path, true).Status(t.Context()); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("after the flood nobody is answered")
}

func TestSocketIsForRootAndGroupOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	_, stop := serve(t, path)
	defer stop()
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v, want 0660", fi.Mode().Perm(), err)
	}
	if _, err := Listen(filepath.Join(t.TempDir(), "s"), "no-such-group", handlers(), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a group that is not there is accepted")
	}
}

func TestOneDaemonPerNamespace(t *testing.T) {
	first, err := Lock()
	if err != nil {
		t.Skipf("mifvif runs in this namespace: %v", err)
	}
	if _, err := Lock(); !errors.Is(err, ErrLocked) {
		t.Errorf("a second lock: %v", err)
	}
	first.Close()
	again, err := Lock()
	if err != nil {
		t.Fatalf("after the first ended: %v", err)
	}
	again.Close()
	if first, second := Cookie(), Cookie(); first == "" || first != second {
		t.Errorf("cookies %q and %q of one namespace", first, second)
	}
}
