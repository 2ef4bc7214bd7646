package wire

import (
	"encoding/binary"
	"errors"
	"strings"
)

// Bounds on names (RFC 1035 2.3.4) and on how many of them a list may hold.
const (
	maxLabel = 63
	maxName  = 255 // octets on the wire, the root's included
	// MaxNames is how many names of one list are kept.
	MaxNames = 64
)

// Errors of the functions that read names.
var (
	ErrShort   = errors.New("a name runs past the end of the option")
	ErrLabel   = errors.New("a name has a label that no host or zone has")
	ErrLong    = errors.New("a name is longer than 255 octets")
	ErrPointer = errors.New("a name has a compression pointer where none may be")
)

// Name reads one uncompressed name (RFC 1035 3.1) at the start of b and
// returns it in lower case without final dot, "" for the root, and what
// follows it.
func Name(b []byte) (name string, rest []byte, err error) {
	return readName(b, 0, false)
}

// Names reads names without compression until the end of b (RFC 8415 10). The
// root is the empty name. An empty option holds no name.
func Names(b []byte) ([]string, error) { return names(b, false) }

// CompressedNames is Names for DHCPv4 option 119 (RFC 3397 2): pointers count
// from the start of b, which is the option with all its parts joined. A name
// that the option's end cuts off is dropped, the names before it stay.
func CompressedNames(b []byte) ([]string, error) { return names(b, true) }

func names(b []byte, compressed bool) ([]string, error) {
	var list []string
	for at := 0; at < len(b) && len(list) < MaxNames; {
		name, rest, err := readName(b, at, compressed)
		if compressed && errors.Is(err, ErrShort) {
			break
		}
		if err != nil {
			return nil, err
		}
		list = append(list, name)
		at = len(b) - len(rest)
	}
	return list, nil
}

// readName reads the name at offset at of b. Every pointer must point before
// the place that it, or the one it was reached by, began at, so that the walk
// ends.
func readName(b []byte, at int, compressed bool) (name string, rest []byte, err error) {
	var text strings.Builder
	jumped, limit, size := false, at, 0
	for {
		if at >= len(b) {
			return "", nil, ErrShort
		}
		n := int(b[at])
		at++
		switch {
		case n == 0:
			if !jumped {
				rest = b[at:]
			}
			return text.String(), rest, nil
		case n&0xc0 == 0xc0 && !compressed:
			return "", nil, ErrPointer
		case n&0xc0 == 0xc0:
			if at >= len(b) {
				return "", nil, ErrShort
			}
			to := int(binary.BigEndian.Uint16(b[at-1:]) & 0x3fff)
			if to >= limit {
				return "", nil, ErrPointer
			}
			if !jumped {
				rest, jumped = b[at+1:], true
			}
			at, limit = to, to
		case n > maxLabel:
			return "", nil, ErrLabel
		case at+n > len(b):
			return "", nil, ErrShort
		default:
			if size += n + 1; size >= maxName {
				return "", nil, ErrLong
			}
			if err := appendLabel(&text, b[at:at+n]); err != nil {
				return "", nil, err
			}
			at += n
		}
	}
}

// appendLabel appends a label in lower case.
func appendLabel(text *strings.Builder, label []byte) error {
	if text.Len() > 0 {
		text.WriteByte('.')
	}
	for _, c := range label {
		switch {
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return ErrLabel
		}
		text.WriteByte(c)
	}
	return nil
}

// TextName reads a name given as text (DHCPv4 option 15, RFC 2132 3.17), whose
// final NULs and dot are dropped.
func TextName(b []byte) (string, error) {
	s := strings.TrimSuffix(strings.TrimRight(string(b), "\x00"), ".")
	if s == "" || len(s) > maxName-2 {
		return "", ErrLong
	}
	var text strings.Builder
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > maxLabel {
			return "", ErrLabel
		}
		if err := appendLabel(&text, []byte(label)); err != nil {
			return "", err
		}
	}
	return text.String(), nil
}
