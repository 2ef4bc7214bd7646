package wire

import (
	"errors"
	"net/url"
	"strings"
)

// Unrestricted is the URI by which a network says that it has no captive portal
// (RFC 8910 2).
const Unrestricted = "urn:ietf:params:capport:unrestricted"

const maxURI = 1024

// ErrURI says that a captive portal's URI cannot be one.
var ErrURI = errors.New("the URI of a captive portal's API is no https URI")

// PortalURI reads the URI of a captive portal's API, which may be padded with
// NULs and need not end in one (RFC 8910 2). It is https with a host, or
// Unrestricted.
func PortalURI(b []byte) (string, error) {
	s := strings.TrimRight(string(b), "\x00")
	if s == Unrestricted {
		return s, nil
	}
	if len(s) > maxURI || !printable(s) {
		return "", ErrURI
	}
	u, err := url.Parse(s)
	if err != nil || !strings.EqualFold(u.Scheme, "https") || u.Hostname() == "" || u.User != nil {
		return "", ErrURI
	}
	return s, nil
}

// printable reports whether s is visible ASCII.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}
