package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// programLimit is how long the resolvconf program may take.
const programLimit = 10 * time.Second

var errNotResolvconf = errors.New("no resolvconf program manages the host's resolver file")

// program points the host at us through resolvconf or openresolv, which would
// undo what is written to their file.
type program struct {
	exe string
	key string // the interface name we appear under
}

// findProgram returns the resolvconf program, nil if there is none.
// systemd's program of that name talks to systemd-resolved and writes no file.
func findProgram(iface string) *program {
	exe, err := exec.LookPath("resolvconf")
	if err != nil {
		return nil
	}
	real, err := filepath.EvalSymlinks(exe)
	if err != nil || filepath.Base(real) == "resolvectl" || filepath.Base(real) == "systemd-resolve" {
		return nil
	}
	// Debian's resolvconf lists interfaces called lo.* first.
	return &program{exe: exe, key: "lo." + iface}
}

// manages reports whether the file is one that such a program writes.
func manages(o original) bool {
	if o.Kind == symlink {
		return strings.Contains(o.Target, "resolvconf")
	}
	for line := range bytes.Lines(o.Content) {
		if line[0] == '#' && bytes.Contains(line, []byte("resolvconf")) {
			return true
		}
	}
	return false
}

// add tells the program about our servers and asks it for no others.
func (p *program) add(ctx context.Context, servers []netip.Addr) error {
	var in bytes.Buffer
	for _, s := range servers {
		fmt.Fprintf(&in, "nameserver %s\n", s)
	}
	return p.run(ctx, &in, "-a", p.key, "-m", "0", "-x")
}

// remove takes our servers back.
func (p *program) remove(ctx context.Context) error { return p.run(ctx, nil, "-d", p.key) }

func (p *program) run(ctx context.Context, in *bytes.Buffer, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, programLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.exe, args...)
	if in != nil {
		cmd.Stdin = in
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run %s %s: %w: %s", p.exe, args[0], err, bytes.TrimSpace(out[:min(len(out), 200)]))
	}
	return nil
}
