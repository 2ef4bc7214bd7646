package uplinks

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"mifvif/netwatch"
	"mifvif/pvd"
)

// guard keeps uplinks apart (RFC 1122 3.3.4.2, strong host): what arrives on
// one for the address of another or for mif0's is dropped, what would leave by one
// from such an address too (an app binds a device that has no address of the family,
// and the kernel takes any), and nothing is forwarded from one to another, into mif0,
// or to one from a LAN that is carried, whose packets all go by mif0 (RFC 6418
// 3.2-9), whatever ip_forward says. A LAN does not speak for this host. Its rules
// never change; what they compare with is kept in sets, so that a change of an
// address costs no counter and no gap.
type guard struct {
	own  string
	lans []string
	// seen is the generation of the kernel's ruleset in which the table was found
	// to hold what held says, 0 if it was not: until either changes there is nothing
	// to read and nothing to do.
	seen uint32
	held contents
}

// contents are the elements of every set, by its name, as the kernel's keys.
type contents map[string]map[string]bool

// wanted returns what the sets are to hold.
func (g *guard) wanted(set *pvd.Set, st netwatch.State) contents {
	c := make(contents)
	for _, s := range guardSets() {
		c[s.Name] = make(map[string]bool)
	}
	for _, lan := range g.lans {
		c[setLANs][nameKey(lan)] = true
	}
	ifnames := make(map[int]string)
	for _, d := range set.All() {
		if isUplink(d) {
			ifnames[d.Ifindex] = d.Interface
			c[setUplinks][nameKey(d.Interface)] = true
			c[setSame][nameKey(d.Interface)+nameKey(d.Interface)] = true
		}
	}
	for _, a := range st.Addresses {
		addr := a.Prefix.Addr()
		ours := setOurs4
		if addr.Is6() {
			ours = setOurs6
		}
		c[ours][string(addr.AsSlice())] = true
		ifname, ok := ifnames[a.Ifindex]
		if !ok || addr.Is6() && addr.IsLinkLocalUnicast() {
			continue // link-local IPv6 addresses are each link's own already
		}
		owned, here := setOwned4, setHere4
		if addr.Is6() {
			owned, here = setOwned6, setHere6
		}
		c[owned][string(addr.AsSlice())] = true
		c[here][nameKey(ifname)+string(addr.AsSlice())] = true
	}
	return c
}

// apply makes the guard's table what set asks for. What has to change changes
// in one transaction.
func (g *guard) apply(set *pvd.Set, st netwatch.State) error {
	want := g.wanted(set, st)
	if g.seen != 0 && g.seen == st.Firewall && maps.EqualFunc(g.held, want, maps.Equal) {
		return nil
	}
	g.seen = 0
	conn, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return fmt.Errorf("reach nftables: %w", err)
	}
	defer func() { _ = conn.CloseLasting() }()
	have, ok := g.present(conn)
	if !ok {
		have = nil
		if err := g.rebuild(conn); err != nil {
			return err
		}
	}
	changes := 0
	for _, s := range guardSets() {
		n, err := alter(conn, s, have[s.Name], want[s.Name])
		if err != nil {
			return err
		}
		changes += n
	}
	if ok && changes == 0 {
		g.seen, g.held = st.Firewall, want
		return nil
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("write the nftables table %s: %w", guardTable, err)
	}
	return nil
}

// present returns what the sets hold now, or false if anything of the table is
// not as this guard writes it.
func (g *guard) present(conn *nftables.Conn) (contents, bool) {
	table := ourTable()
	for _, c := range guardChains(table) {
		rules, err := conn.GetRules(table, c)
		want := g.rules(table, c.Name)
		if err != nil || len(rules) != len(want) {
			return nil, false
		}
		for i := range rules {
			if string(rules[i].UserData) != string(want[i].UserData) {
				return nil, false
			}
		}
	}
	have := make(contents)
	for _, s := range guardSets() {
		elements, err := conn.GetSetElements(s)
		if err != nil {
			return nil, false
		}
		have[s.Name] = make(map[string]bool, len(elements))
		for _, e := range elements {
			have[s.Name][string(e.Key)] = true
		}
	}
	return have, true
}

// rebuild replaces the whole table, sets left empty.
func (g *guard) rebuild(conn *nftables.Conn) error {
	table := ourTable()
	conn.AddTable(table) // so that there is one to delete
	conn.DelTable(table)
	conn.AddTable(table)
	for _, s := range guardSets() {
		if err := conn.AddSet(s, nil); err != nil {
			return fmt.Errorf("make the nftables set %s: %w", s.Name, err)
		}
	}
	chains := guardChains(table)
	for _, c := range chains {
		conn.AddChain(c)
	}
	for _, c := range chains {
		for _, r := range g.rules(table, c.Name) {
			conn.AddRule(r)
		}
	}
	return nil
}

// maxElements bounds one netlink message: its attributes have 16-bit lengths.
const maxElements = 256

// alter queues what leads a set from have to want and returns how much it is.
func alter(conn *nftables.Conn, s *nftables.Set, have, want map[string]bool) (int, error) {
	missing, extra := without(want, have), without(have, want)
	for part := range slices.Chunk(missing, maxElements) {
		if err := conn.SetAddElements(s, part); err != nil {
			return 0, fmt.Errorf("fill the nftables set %s: %w", s.Name, err)
		}
	}
	for part := range slices.Chunk(extra, maxElements) {
		if err := conn.SetDeleteElements(s, part); err != nil {
			return 0, fmt.Errorf("empty the nftables set %s: %w", s.Name, err)
		}
	}
	return len(missing) + len(extra), nil
}

// without returns the elements of a that b lacks.
func without(a, b map[string]bool) []nftables.SetElement {
	var out []nftables.SetElement
	for _, key := range slices.Sorted(maps.Keys(a)) {
		if !b[key] {
			out = append(out, nftables.SetElement{Key: []byte(key)})
		}
	}
	return out
}

// removeGuard deletes the table, if there is one.
func removeGuard() error {
	conn, err := nftables.New()
	if err != nil {
		return nil //nolint:nilerr // a kernel without nftables has no table of ours
	}
	conn.DelTable(ourTable())
	err = conn.Flush()
	if err == nil || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil
	}
	return fmt.Errorf("remove the nftables table %s: %w", guardTable, err)
}
