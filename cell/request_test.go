package cell

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns both ends of a connection: the client's, and a descriptor.
func pair(t *testing.T) (*net.UnixConn, int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fds[0]), "client")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); unix.Close(fds[1]) })
	return conn.(*net.UnixConn), fds[1]
}

// open returns how many descriptors this process has.
func open(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestRequestArrivesWithItsFiles(t *testing.T) {
	client, server := pair(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	sent := &Request{
		Args: [][]byte{[]byte("echo"), {0xff, 0xfe}, {}}, Env: [][]byte{[]byte("A=" + strings.Repeat("x", 1<<20))}, Dir: []byte("/tmp/\xff"), Umask: 0o27, Terminal: true,
	}
	done := make(chan error, 1)
	go func() { done <- sent.Send(client, int(r.Fd()), int(w.Fd()), int(w.Fd())) }()
	got, fds, err := receive(server)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sent, got); diff != "" {
		t.Errorf("the request is another:\n%s", diff)
	}
	if _, err := unix.Write(fds[2], []byte("said")); err != nil {
		t.Errorf("write to the file that came: %v", err)
	}
	b := make([]byte, 4)
	if _, err := r.Read(b); err != nil || string(b) != "said" {
		t.Errorf("read %q, %v", b, err)
	}
	for _, fd := range fds {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("a file that came stays open on exec (%v)", err)
		}
	}
	closeAll(fds)
}

// TestBadRequestsAreRefused, and leave no descriptor open.
func TestBadRequestsAreRefused(t *testing.T) {
	length := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	cases := map[string]struct {
		head  []byte
		files int
		body  string
		want  string
	}{
		"no files":         {length(2), 0, "{}", errFiles.Error()},
		"two files":        {length(2), 2, "{}", errFiles.Error()},
		"many files":       {length(2), 200, "{}", errFiles.Error()},
		"cut length":       {[]byte{0, 0}, 3, "", errFiles.Error()},
		"too long":         {length(1 << 31), 3, "", "at most"},
		"cut short":        {length(100), 3, `{"args":`, "unexpected EOF"},
		"no document":      {length(4), 3, "true", "cannot unmarshal"},
		"no command":       {length(2), 3, "{}", "no command"},
		"an empty command": {length(13), 3, `{"args":[""]}`, "no command"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			client, server := pair(t)
			var oob []byte
			if c.files > 0 {
				oob = unix.UnixRights(make([]int, c.files)...)
			}
			if _, _, err := client.WriteMsgUnix(c.head, oob, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Write([]byte(c.body)); err != nil {
				t.Fatal(err)
			}
			client.CloseWrite()
			before := open(t)
			if _, _, err := receive(server); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if now := open(t); now != before {
				t.Errorf("%d descriptors were left open", now-before)
			}
		})
	}
}

func TestARequestThatIsTooLongIsNotSent(t *testing.T) {
	client, _ := pair(t)
	r := &Request{Args: [][]byte{make([]byte, maxRequest)}}
	if err := r.Send(client, 0, 1, 2); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("error %v, want that it is too long", err)
	}
}

func FuzzReadRequest(f *testing.F) {
	f.Add([]byte(`{"args":["ZWNobw=="],"env":["QT1i"],"dir":"Lw==","umask":18,"terminal":true}`), uint32(80))
	f.Add([]byte(`{"args":[]}`), uint32(11))
	f.Fuzz(func(t *testing.T, b []byte, length uint32) {
		r, err := readRequest(bytes.NewReader(b), length)
		if err == nil && (len(r.Args) == 0 || len(r.Args[0]) == 0 || int(length) > len(b)) {
			t.Errorf("%q was taken for a request", b)
		}
	})
}

func TestCandidatesAreThoseOfExecvp(t *testing.T) {
	for _, c := range []struct {
		name string
		env  []string
		want []string
	}{
		{"/bin/ls", nil, []string{"/bin/ls"}},
		{"./ls", []string{"PATH=/a"}, []string{"./ls"}},
		{"ls", []string{"X=1", "PATH=/a::/b"}, []string{"/a/ls", "./ls", "/b/ls"}},
		{"ls", nil, []string{"/usr/local/bin/ls", "/usr/bin/ls", "/bin/ls"}},
	} {
		if diff := cmp.Diff(c.want, candidates(c.name, c.env)); diff != "" {
			t.Errorf("%s with %v:\n%s", c.name, c.env, diff)
		}
	}
}

// TestACommandThatIsNowhereIsSaidSo: no file is to blame.
func TestACommandThatIsNowhereIsSaidSo(t *testing.T) {
	err := become(&Request{Args: [][]byte{[]byte("no-such-command")}, Env: [][]byte{[]byte("PATH=/nowhere")}})
	if err == nil || errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "not found") {
		t.Errorf("error %v, want that the command was not found", err)
	}
}
