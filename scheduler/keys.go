package scheduler

import (
	"net/netip"
	"strings"
)

// nets returns the prefixes that a match limits a property to, nil if it does
// not.
func (m *Match) nets(by property) []netip.Prefix {
	list := m.Dst
	if by == bySrc {
		list = m.Src
	}
	out := make([]netip.Prefix, 0, len(list))
	for _, p := range list {
		out = append(out, p.Masked())
	}
	return out
}

// keys returns what a match limits a property to, nil if it does not, or not to
// single values.
func (m *Match) keys(by property) []uint64 {
	switch by {
	case byName:
		return m.nameKeys()
	case byPort:
		return m.portKeys()
	case byUser:
		return numbers(m.Users)
	case byProcess:
		return words(m.Processes)
	case byCgroup:
		return words(m.Cgroups)
	case byIngress:
		return words(m.Ingress)
	case byDSCP:
		return numbers(m.DSCP)
	case byProto:
		return numbers(m.Protos)
	}
	return nil
}

// key returns what a flow has of a property with one value.
func (f *subject) key(by property) uint64 {
	switch by {
	case byPort:
		return uint64(f.Dst.Port())
	case byUser:
		return uint64(f.Owner.UID)
	case byProcess:
		return hashString(hashSeed, f.Owner.Process)
	case byIngress:
		return hashString(hashSeed, f.Ingress)
	case byDSCP:
		return uint64(f.DSCP)
	case byProto:
		return uint64(f.proto)
	}
	return 0
}

func numbers[T ~uint8 | ~uint32](list []T) []uint64 {
	out := make([]uint64, 0, len(list))
	for _, v := range list {
		out = append(out, uint64(v))
	}
	return out
}

func words(list []string) []uint64 {
	out := make([]uint64, 0, len(list))
	for _, w := range list {
		out = append(out, hashString(hashSeed, w))
	}
	return out
}

// portKeys returns the ports of a match, nil if they are too many to be listed.
func (m *Match) portKeys() []uint64 {
	var out []uint64
	for _, r := range m.Ports {
		if int(r.Last)-int(r.First)+len(out) >= fewValues {
			return nil
		}
		for p := uint64(r.First); p <= uint64(r.Last); p++ {
			out = append(out, p)
		}
	}
	return out
}

// nameKeys returns the keys of names and of "everything below a name"; nil if
// there is another pattern among them.
func (m *Match) nameKeys() []uint64 {
	var out []uint64
	for _, pattern := range m.Names {
		suffix, below := strings.CutPrefix(pattern, "*.")
		switch {
		case strings.ContainsAny(suffix, `*?[\`):
			return nil
		case below:
			out = append(out, belowKey(suffix))
		default:
			out = append(out, exactKey(pattern))
		}
	}
	return out
}

func exactKey(name string) uint64 { return hashString(hashSeed, name) }

func belowKey(name string) uint64 { return hashString(hashSeed+1, name) }
