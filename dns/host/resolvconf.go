package host

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Bounds of a resolv.conf we take seriously.
const (
	maxFile    = 64 << 10 // bytes
	maxServers = 16
)

// How our own file is recognised and how it carries the original.
const (
	title      = "# Written by mifvif, which puts the original back when it stops. The original was:\n"
	kindPrefix = "#: "
	linePrefix = "#> "
)

// ParseResolvConf returns the addresses of the nameserver lines of a
// resolv.conf(5), in order and without repetition. What is no address is
// passed over, as the C library does.
func ParseResolvConf(content []byte) []netip.Addr {
	var out []netip.Addr
	for line := range bytes.Lines(content) {
		fields := strings.Fields(string(line))
		if len(fields) < 2 || fields[0] != "nameserver" || len(out) == maxServers {
			continue
		}
		if a, err := netip.ParseAddr(fields[1]); err == nil && !slices.Contains(out, a.Unmap()) {
			out = append(out, a.Unmap())
		}
	}
	return out
}

// pointsAt reports whether the first server a file names is one of ours.
func pointsAt(content []byte, servers []netip.Addr) bool {
	named := ParseResolvConf(content)
	return len(named) > 0 && slices.Contains(servers, named[0])
}

// mentions reports whether a file names one of our servers at all.
func mentions(content []byte, servers []netip.Addr) bool {
	return slices.ContainsFunc(ParseResolvConf(content), func(a netip.Addr) bool { return slices.Contains(servers, a) })
}

// isStub reports whether a file sends everything to systemd-resolved's stub.
func isStub(content []byte) bool {
	return pointsAt(content, []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 53}), netip.AddrFrom4([4]byte{127, 0, 0, 54})})
}

// render returns the file that points at servers: the original's other settings
// (search, options, …) stay, the original itself follows as a comment.
func render(o original, servers []netip.Addr) []byte {
	var b bytes.Buffer
	var kept bytes.Buffer
	b.WriteString(title)
	fmt.Fprintf(&b, "%s%s\n", kindPrefix, o.describe())
	for line := range bytes.Lines(o.Content) {
		line = bytes.TrimRight(line, "\n")
		fmt.Fprintf(&b, "%s%s\n", linePrefix, line)
		if isSetting(line) {
			fmt.Fprintf(&kept, "%s\n", line)
		}
	}
	for _, s := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	b.Write(kept.Bytes())
	return b.Bytes()
}

// isSetting reports whether a line says something besides a server.
func isSetting(line []byte) bool {
	fields := bytes.Fields(line)
	return len(fields) > 0 && fields[0][0] != '#' && fields[0][0] != ';' && string(fields[0]) != "nameserver"
}

// recoverOriginal reads the original out of a file that render made. It is
// exact but for a missing final newline.
func recoverOriginal(content []byte) (original, bool) {
	rest, ok := bytes.CutPrefix(content, []byte(title))
	if !ok {
		return original{}, false
	}
	var o original
	found := false
	for line := range bytes.Lines(rest) {
		if kind, ok := bytes.CutPrefix(line, []byte(kindPrefix)); ok {
			found = o.parse(strings.TrimRight(string(kind), "\n"))
		} else if saved, ok := bytes.CutPrefix(line, []byte(linePrefix)); ok {
			o.Content = append(o.Content, saved...)
		}
	}
	return o, found
}
