package pvd

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"
)

// Handle is a domain's pair of addresses on mif0, zero where the family has none:
// an app that binds one is put on that domain and no other (RFC 6418 5.4-C).
type Handle struct{ V4, V6 netip.Addr }

// The ranges of handles are inside the benchmarking prefixes (RFC 2544, RFC 5180).
func handle4(last byte) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, 1, last}) }

func handle6(id uint64) netip.Addr {
	b := [16]byte{0: 0x20, 1: 0x01, 3: 2, 7: 1}
	binary.BigEndian.PutUint64(b[8:], id)
	return netip.AddrFrom16(b)
}

// Handles returns the handles of all domains by name. A handle follows from the
// name, so that it is the same at each start; of two names that would share an
// IPv4 handle the later one gets the next free one, and the 255th gets none.
func Handles(set *Set) map[string]Handle {
	const places = 254
	out := make(map[string]Handle)
	taken := make(map[byte]bool)
	for _, d := range set.All() {
		h := fnv.New64a()
		h.Write([]byte(d.Name))
		sum := h.Sum64()
		handle := Handle{V6: handle6(sum)}
		for i := range uint64(places) {
			if last := byte((sum+i)%places + 1); !taken[last] {
				taken[last] = true
				handle.V4 = handle4(last)
				break
			}
		}
		out[d.Name] = handle
	}
	return out
}
