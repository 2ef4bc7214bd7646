package additional

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"mifvif/pvd"
)

// Bounds of an object.
const (
	maxBody     = 64 << 10 // bytes
	maxDepth    = 16
	maxPrefixes = 256
	maxZones    = 64
	maxName     = 253
)

// object is the additional information of one domain, as far as it matters here.
type object struct {
	Expires    time.Time
	Prefixes   []netip.Prefix
	Zones      []string // canonical names
	NoInternet bool
}

// parse reads the object of the domain called id (RFC 8801 4.3): I-JSON with the
// three required keys. Unknown keys are ignored.
func parse(b []byte, id string, now time.Time) (*object, error) {
	if err := wellFormed(b); err != nil {
		return nil, err
	}
	var in struct {
		Identifier *string   `json:"identifier"`
		Expires    *string   `json:"expires"`
		Prefixes   *[]string `json:"prefixes"`
		Zones      []string  `json:"dnsZones"`
		NoInternet bool      `json:"noInternet"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("read the additional information: %w", err)
	}
	if in.Identifier == nil || in.Expires == nil || in.Prefixes == nil {
		return nil, errors.New(`the additional information lacks one of "identifier", "expires" and "prefixes"`)
	}
	if pvd.CanonicalName(*in.Identifier) != id {
		return nil, fmt.Errorf("the additional information is of %q", *in.Identifier)
	}
	out := &object{NoInternet: in.NoInternet}
	var err error
	if out.Expires, err = time.Parse(time.RFC3339, *in.Expires); err != nil {
		return nil, fmt.Errorf("read when the additional information expires: %w", err)
	}
	if !out.Expires.After(now) {
		return nil, fmt.Errorf("the additional information has expired at %s", *in.Expires)
	}
	if out.Prefixes, err = prefixes(*in.Prefixes); err != nil {
		return nil, err
	}
	if out.Zones, err = zones(in.Zones); err != nil {
		return nil, err
	}
	return out, nil
}

// wellFormed reports whether b is one JSON object in UTF-8 that names nothing
// twice (I-JSON, RFC 7493 2) and is not nested without measure. The decoder of
// the standard library takes the keys of a struct in any case, so keys that
// differ in that alone are the same.
func wellFormed(b []byte) error {
	if !utf8.Valid(b) {
		return errors.New("the additional information is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("the additional information is no JSON object")
	}
	if err := members(d, 1); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the additional information")
	}
	return nil
}

// members reads the rest of an object whose brace was read.
func members(d *json.Decoder, depth int) error {
	seen := make(map[string]bool)
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return fmt.Errorf("read the additional information: %w", err)
		}
		name, _ := key.(string)
		if name = strings.ToLower(name); seen[name] {
			return fmt.Errorf("the additional information has %q twice", name)
		}
		seen[name] = true
		if err := value(d, depth); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return wrap(err)
}

// value reads one value.
func value(d *json.Decoder, depth int) error {
	t, err := d.Token()
	if err != nil {
		return wrap(err)
	}
	if depth >= maxDepth {
		return errors.New("the additional information is nested too deep")
	}
	switch t {
	case json.Delim('{'):
		return members(d, depth+1)
	case json.Delim('['):
		for d.More() {
			if err := value(d, depth+1); err != nil {
				return err
			}
		}
		_, err = d.Token()
	}
	return wrap(err)
}

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("read the additional information: %w", err)
}

// prefixes reads the IPv6 prefixes of a domain.
func prefixes(list []string) ([]netip.Prefix, error) {
	if len(list) > maxPrefixes {
		return nil, fmt.Errorf("the additional information has %d prefixes", len(list))
	}
	var out []netip.Prefix
	for _, text := range list {
		p, err := netip.ParsePrefix(text)
		if err != nil || !p.Addr().Is6() || p.Addr().Is4In6() {
			return nil, fmt.Errorf("the additional information has the prefix %q", text)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// zones reads the zones of a domain; the root is none, since it would be every
// name there is.
func zones(list []string) ([]string, error) {
	if len(list) > maxZones {
		return nil, fmt.Errorf("the additional information has %d zones", len(list))
	}
	var out []string
	for _, text := range list {
		name := pvd.CanonicalName(text)
		if !isName(name) {
			return nil, fmt.Errorf("the additional information has the zone %q", text)
		}
		out = append(out, name)
	}
	return out, nil
}

// isName reports whether a text is a domain name of letters, digits, hyphens and
// underscores.
func isName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// covers reports whether every prefix that routers of d advertise is within one
// of the object's (RFC 8801 4.1: else one of both is misconfigured).
func (o *object) covers(d *pvd.Domain) bool {
	for _, ad := range d.Adverts {
		within := false
		for _, p := range o.Prefixes {
			within = within || p.Bits() <= ad.Prefix.Bits() && p.Contains(ad.Prefix.Addr())
		}
		if !within {
			return false
		}
	}
	return true
}
