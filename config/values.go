package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"mifvif/flow"
	"mifvif/scheduler"
)

// ifname is what the kernel takes as an interface name.
func validInterface(s string) bool {
	return regexp.MustCompile(`^[^\s/:%]{1,15}$`).MatchString(s) && s != "." && s != ".." // % is a pattern to the kernel
}

// prefixes parses a list of prefixes; an address alone is a prefix of its own.
func (r *reader) prefixes(path, key string, list []string) []netip.Prefix {
	var out []netip.Prefix
	for i, s := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(s)
		switch {
		case err != nil:
			r.at(at, "%s: %q is no prefix (such as 192.0.2.0/24 or 2001:db8::/32)", key, s)
		case p != p.Masked():
			r.at(at, "%s: %s has bits behind the prefix (write %s)", key, p, p.Masked())
		default:
			out = append(out, p)
		}
	}
	return out
}

// addrs parses a list of addresses.
func (r *reader) addrs(path, key string, list []string) []netip.Addr {
	var out []netip.Addr
	for i, s := range list {
		a, err := netip.ParseAddr(s)
		if err != nil {
			r.at(fmt.Sprintf("%s[%d]", path, i), "%s: %q is no IP address (such as 192.0.2.1 or 2001:db8::1)", key, s)
			continue
		}
		out = append(out, a)
	}
	return out
}

// servers parses DNS servers, with a port if it is not 53.
func (r *reader) servers(path string, list []string) []netip.AddrPort {
	var out []netip.AddrPort
	for i, s := range list {
		if a, err := netip.ParseAddr(s); err == nil {
			out = append(out, netip.AddrPortFrom(a, 53))
			continue
		}
		ap, err := netip.ParseAddrPort(s)
		if err != nil || ap.Port() == 0 {
			r.at(fmt.Sprintf("%s[%d]", path, i), "servers: %q is no address of a server (such as 192.0.2.53 or [2001:db8::53]:5353)", s)
			continue
		}
		out = append(out, ap)
	}
	return out
}

// scalars restates a value that may be one scalar or a list of them; an empty list
// is as good as none, and matches everything.
func (r *reader) scalars(path, key string, v any) []string {
	switch t := v.(type) {
	case nil:
		return nil
	case []any:
		var out []string
		for i, e := range t {
			switch e.(type) {
			case string, uint64, int64, int:
				out = append(out, fmt.Sprint(e))
			default:
				r.at(fmt.Sprintf("%s[%d]", path, i), "%s: a word or a number is wanted here", key)
			}
		}
		return out
	case string, uint64, int64, int:
		return []string{fmt.Sprint(t)}
	}
	r.at(path, "%s: a word, a number or a list of them is wanted here", key)
	return nil
}

// ports parses single ports and ranges.
func (r *reader) ports(path string, v any) []scheduler.PortRange {
	var out []scheduler.PortRange
	for _, s := range r.scalars(path, "port", v) {
		first, last, ranged := strings.Cut(s, "-")
		if !ranged {
			last = first
		}
		a, errA := strconv.ParseUint(first, 10, 16)
		b, errB := strconv.ParseUint(last, 10, 16)
		switch {
		case errA != nil || errB != nil:
			r.at(path, "port: %q is no port (0 to 65535, or a range such as 10000-20000)", s)
		case a > b:
			r.at(path, "port: the range %s is empty (write %d-%d)", s, b, a)
		default:
			out = append(out, scheduler.PortRange{First: uint16(a), Last: uint16(b)})
		}
	}
	return out
}

// protos parses protocol names.
func (r *reader) protos(path string, v any) []flow.Proto {
	names := map[string]flow.Proto{"tcp": flow.TCP, "udp": flow.UDP, "icmp": flow.ICMP}
	var out []flow.Proto
	for _, s := range r.scalars(path, "proto", v) {
		p, ok := names[strings.ToLower(s)]
		if !ok {
			r.at(path, "proto: unknown protocol %q (tcp, udp, icmp)", s)
			continue
		}
		out = append(out, p)
	}
	return out
}

// codePoints are the names of DSCP values (RFC 2474, 2597, 3246, 5865, 8622).
func codePoints() map[string]uint8 {
	m := map[string]uint8{"ef": 46, "va": 44, "le": 1, "be": 0, "df": 0}
	for i := range uint8(8) {
		m["cs"+strconv.Itoa(int(i))] = i * 8
	}
	for class := range uint8(4) {
		for drop := range uint8(3) {
			m[fmt.Sprintf("af%d%d", class+1, drop+1)] = (class+1)*8 + (drop+1)*2
		}
	}
	return m
}

// dscps parses code points by name or number.
func (r *reader) dscps(path string, v any) []uint8 {
	var out []uint8
	for _, s := range r.scalars(path, "dscp", v) {
		c, err := CodePoint(s)
		if err != nil {
			r.at(path, "dscp: %v", err)
			continue
		}
		out = append(out, c)
	}
	return out
}

// CodePoint returns the DSCP value that a word or a number stands for.
func CodePoint(s string) (uint8, error) {
	if c, ok := codePoints()[strings.ToLower(s)]; ok {
		return c, nil
	}
	n, err := strconv.ParseUint(s, 0, 8)
	if err != nil || n > 63 {
		return 0, fmt.Errorf("unknown code point %q (0 to 63, ef, va, le, be, cs0-cs7, af11-af43)", s)
	}
	return uint8(n), nil
}

// families says of which family all prefixes are: "IPv4", "IPv6", or "" for
// both or none.
func families(list []netip.Prefix) string {
	v4, v6 := false, false
	for _, p := range list {
		v4, v6 = v4 || p.Addr().Is4(), v6 || p.Addr().Is6()
	}
	switch {
	case v4 && !v6:
		return "IPv4"
	case v6 && !v4:
		return "IPv6"
	}
	return ""
}
