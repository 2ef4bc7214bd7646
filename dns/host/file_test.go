package host

import (
	"bytes"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"mifvif/lab/labtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ours() []netip.Addr {
	return []netip.Addr{netip.MustParseAddr("198.18.0.2"), netip.MustParseAddr("2001:2::2")}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// setting is a Config for files in a directory of the test's own.
func setting(t *testing.T) Config {
	t.Helper()
	dir := t.TempDir()
	return Config{
		Mode: File, Servers: ours(), Interface: "mif0", Ifindex: 7,
		Path: filepath.Join(dir, "etc", "resolv.conf"), Record: filepath.Join(dir, "run", "undo.json"),
		Bus: "unix:path=" + filepath.Join(dir, "no-bus"),
	}
}

const theirs = "# theirs\nnameserver 192.0.2.53\nnameserver 127.0.0.53\nsearch corp.example example.net\noptions ndots:2"

func write(t *testing.T, path, content string, perm fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), perm); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func point(t *testing.T, cfg Config) *Pointed {
	t.Helper()
	p, err := Point(t.Context(), cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// state is what stands at a path, to be compared before and after.
func state(t *testing.T, path string) original {
	t.Helper()
	o, err := snapshot(path)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// shapes are the ways a resolv.conf is found on hosts.
func shapes() map[string]func(*testing.T, string) {
	return map[string]func(*testing.T, string){
		"plain file":    func(t *testing.T, p string) { t.Helper(); write(t, p, theirs, 0o640) },
		"empty file":    func(t *testing.T, p string) { t.Helper(); write(t, p, "", 0o644) },
		"no file":       func(t *testing.T, p string) { t.Helper(); write(t, p+".other", "", 0o644) },
		"symlink":       func(t *testing.T, p string) { t.Helper(); write(t, p+".real", theirs, 0o644); link(t, p) },
		"dangling link": func(t *testing.T, p string) { t.Helper(); write(t, p+".other", "", 0o644); link(t, p) },
		"carriage return": func(t *testing.T, p string) {
			t.Helper()
			write(t, p, "nameserver 192.0.2.53\r\n\r\n\x00\xff\n", 0o644)
		},
	}
}

func link(t *testing.T, path string) {
	t.Helper()
	if err := os.Symlink(filepath.Base(path)+".real", path); err != nil {
		t.Fatal(err)
	}
}

func TestFileComesBackAsItWas(t *testing.T) {
	for name, make := range shapes() {
		t.Run(name, func(t *testing.T) {
			cfg := setting(t)
			make(t, cfg.Path)
			before := state(t, cfg.Path)
			p := point(t, cfg)
			if got := ParseResolvConf([]byte(content(t, cfg.Path))); !cmp.Equal(got, ours(), compareAddr()) {
				t.Errorf("the file names %v, want us", got)
			}
			if diff := cmp.Diff(before.Content, load1(t, cfg.Record).Original.Content); diff != "" {
				t.Errorf("the undo record differs from the original:\n%s", diff)
			}
			if err := p.Restore(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, state(t, cfg.Path)); diff != "" {
				t.Errorf("restored differently (-before +after):\n%s", diff)
			}
			left, _ := filepath.Glob(filepath.Join(filepath.Dir(cfg.Path), ".mifvif*"))
			if _, err := os.Stat(cfg.Record); err == nil || len(left) > 0 {
				t.Errorf("left behind: record %v, files %v", err == nil, left)
			}
		})
	}
}

func compareAddr() cmp.Option {
	return cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
}

func load1(t *testing.T, path string) *record {
	t.Helper()
	r, err := load(path)
	if err != nil || r == nil {
		t.Fatalf("no undo record: %v", err)
	}
	return r
}

func TestOtherSettingsStay(t *testing.T) {
	cfg := setting(t)
	write(t, cfg.Path, theirs, 0o640)
	defer point(t, cfg).Restore(t.Context())
	want := "nameserver 198.18.0.2\nnameserver 2001:2::2\nsearch corp.example example.net\noptions ndots:2\n"
	if got := content(t, cfg.Path); !bytes.HasSuffix([]byte(got), []byte(want)) {
		t.Errorf("file is\n%s\nwant it to end in\n%s", got, want)
	}
	if perm := state(t, cfg.Path).Perm; perm != 0o640 {
		t.Errorf("mode became %o", perm)
	}
}

// killed returns after a daemon that pointed the file and never restored it.
func killed(t *testing.T, cfg Config) {
	t.Helper()
	point(t, cfg)
}

func TestKilledDaemonIsUndone(t *testing.T) {
	tests := map[string]func(*testing.T, Config){
		"by cleanup": func(t *testing.T, cfg Config) {
			t.Helper()
			if err := Restore(t.Context(), cfg, quiet()); err != nil {
				t.Fatal(err)
			}
		},
		"by the next run": func(t *testing.T, cfg Config) {
			t.Helper()
			killed(t, cfg)
			if err := point(t, cfg).Restore(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		"by a run that leaves the host alone": func(t *testing.T, cfg Config) {
			t.Helper()
			cfg.Mode = None
			point(t, cfg)
		},
		"without the record": func(t *testing.T, cfg Config) {
			t.Helper()
			if err := os.Remove(cfg.Record); err != nil {
				t.Fatal(err)
			}
			if err := point(t, cfg).Restore(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		"with a broken record": func(t *testing.T, cfg Config) {
			t.Helper()
			write(t, cfg.Record, "{", 0o600)
			if err := Restore(t.Context(), cfg, quiet()); err != nil {
				t.Fatal(err)
			}
		},
		"after somebody added a line": func(t *testing.T, cfg Config) {
			t.Helper()
			write(t, cfg.Path, content(t, cfg.Path)+"options rotate\n", 0o644)
			if err := Restore(t.Context(), cfg, quiet()); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, undo := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := setting(t)
			write(t, cfg.Path, theirs+"\n", 0o640)
			before := state(t, cfg.Path)
			killed(t, cfg)
			undo(t, cfg)
			if diff := cmp.Diff(before, state(t, cfg.Path)); diff != "" {
				t.Errorf("restored differently (-before +after):\n%s", diff)
			}
			if _, err := os.Stat(cfg.Record); err == nil {
				t.Error("the undo record is left behind")
			}
		})
	}
}

func TestRewrittenFileIsLeftAlone(t *testing.T) {
	cfg := setting(t)
	write(t, cfg.Path, theirs, 0o644)
	p := point(t, cfg)
	write(t, cfg.Path, "nameserver 203.0.113.53\n", 0o644)
	if err := p.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := content(t, cfg.Path); got != "nameserver 203.0.113.53\n" {
		t.Errorf("somebody else's file became %q", got)
	}
	if _, err := os.Stat(cfg.Record); err == nil {
		t.Error("the undo record is left behind")
	}
}

func TestRestoreWithNothingToUndo(t *testing.T) {
	cfg := setting(t)
	write(t, cfg.Path, "nameserver 198.18.0.2\n", 0o644) // by hand, not by us
	if err := Restore(t.Context(), cfg, quiet()); err != nil {
		t.Error(err)
	}
	if got := content(t, cfg.Path); got != "nameserver 198.18.0.2\n" {
		t.Errorf("the file became %q", got)
	}
}

func TestWhatIsNoResolverFileIsLeftAlone(t *testing.T) {
	cfg := setting(t)
	if err := os.MkdirAll(cfg.Path, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Point(t.Context(), cfg, quiet()); err == nil {
		t.Error("a directory was taken for a resolver file")
	}
	cfg = setting(t)
	write(t, cfg.Path, string(bytes.Repeat([]byte("#"), maxFile+1)), 0o644)
	if _, err := Point(t.Context(), cfg, quiet()); err == nil {
		t.Error("a huge file was taken for a resolver file")
	}
}

// alone runs f on a thread that has namespaces of its own; the thread ends with it.
func alone(t *testing.T, flags int, f func(t *testing.T)) {
	t.Helper()
	labtest.Need(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Never unlocked, so that the thread is not used again. The process's
		// first thread must stay as it is: it stands for the whole process.
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			alone(t, flags, f)
			return
		}
		if err := unix.Unshare(flags | unix.CLONE_FS); err != nil {
			t.Errorf("make namespaces: %v", err)
			return
		}
		f(t)
	}()
	<-done
}

func TestBindMountIsWrittenInPlace(t *testing.T) {
	cfg := setting(t)
	source := cfg.Path + ".source"
	write(t, source, theirs, 0o644)
	write(t, cfg.Path, "covered", 0o644)
	alone(t, unix.CLONE_NEWNS, func(t *testing.T) {
		t.Helper()
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Errorf("make mounts private: %v", err)
			return
		}
		if err := unix.Mount(source, cfg.Path, "", unix.MS_BIND, ""); err != nil {
			t.Errorf("bind mount: %v", err)
			return
		}
		p := point(t, cfg)
		if got := content(t, source); !pointsAt([]byte(got), ours()) {
			t.Errorf("the mounted file is %q, want it to name us", got)
		}
		if err := p.Restore(t.Context()); err != nil {
			t.Error(err)
		}
		if got := content(t, source); got != theirs {
			t.Errorf("the mounted file came back as %q", got)
		}
	})
	if got := content(t, cfg.Path); got != "covered" {
		t.Errorf("the file under the mount became %q", got)
	}
}

func TestSharedFileOfAnotherNetworkIsForeign(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	write(t, path, theirs, 0o644)
	alone(t, unix.CLONE_NEWNET, func(t *testing.T) {
		t.Helper()
		if !foreign(path) {
			t.Error("a file that our ancestors see would be changed for another namespace")
		}
		cfg := setting(t)
		cfg.Mode, cfg.Path = Auto, path
		if how := point(t, cfg).How(); how != "none" {
			t.Errorf("mode auto took %s", how)
		}
	})
	if got := content(t, path); got != theirs {
		t.Errorf("the shared file became %q", got)
	}
}

func TestServersOfTheOriginalSurviveAKill(t *testing.T) {
	for _, record := range []string{"kept", "lost"} {
		cfg := setting(t)
		write(t, cfg.Path, theirs, 0o644)
		killed(t, cfg)
		if record == "lost" {
			if err := os.Remove(cfg.Record); err != nil {
				t.Fatal(err)
			}
		}
		u := Discover(t.Context(), cfg, quiet())
		if len(u.General) != 1 || u.General[0].String() != "192.0.2.53" {
			t.Errorf("record %s: the host knows %v, want the original's server", record, u.General)
		}
	}
}
