package dns

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"mifvif/flow"
	"mifvif/pvd"
)

// How long a name is remembered beyond its records' life: apps connect late
// and hold on to addresses.
const (
	nameGrace = 60 * time.Second
	maxLife   = 24 * time.Hour
)

// NamesConfig bounds a Names.
type NamesConfig struct {
	// Max is how many (app, address) pairs are remembered, at least 1; the
	// oldest goes.
	Max int
	// PerApp is the share of Max one app may hold, above 0 up to 1.
	PerApp float64
	// App maps the address a query or flow came from to who that is: every
	// address of this host to one value, for example, since an app may ask
	// over IPv4 and connect over IPv6. nil: each address is an app of its own.
	App func(netip.Addr) netip.Addr
	// Foreign reports whether an address that a domain's answer names lies on the
	// link of another domain, where the kernel would deliver to it by itself. nil:
	// none does.
	Foreign func(*pvd.Domain, netip.Addr) bool
	// Alive reports whether a domain instance still lives; nil: all do.
	Alive func(pvd.Key) bool
}

// Binding is what the resolver told an app about an address.
type Binding struct {
	Name   string      // without the final dot
	Domain *pvd.Domain // whose resolver said so, as it was then
	// Private: the address means nothing outside of Domain.
	Private bool
	// Real is the address that an alias stands for, in Domain; the zero Addr
	// where the app was given the address itself.
	Real netip.Addr
}

// Names remembers which name and domain gave an app an address, so that a flow to
// the address follows its answer (standards D.6) and can be called by its name. It
// is a bounded table whose entries expire with their records; those of a domain
// that is gone stay that long too, so that flows to its addresses are refused and
// do not wander into another network (RFC 6418 4.1-5). Safe for concurrent use.
type Names struct {
	cfg    NamesConfig
	perApp int
	now    func() time.Time

	mu      sync.Mutex
	entries map[nameKey]*list.Element // of *nameEntry, in all
	all     *list.List                // oldest first
	apps    map[netip.Addr]*list.List // per app, oldest first
	evicted uint64
	aliases *aliases
}

type nameKey struct{ app, addr netip.Addr }

type nameEntry struct {
	nameKey
	Binding
	expires time.Time
	mine    *list.Element // in the app's own list
}

// NewNames returns an empty table.
func NewNames(cfg NamesConfig) *Names {
	cfg.Max = max(1, cfg.Max)
	if cfg.App == nil {
		cfg.App = func(a netip.Addr) netip.Addr { return a }
	}
	if cfg.Alive == nil {
		cfg.Alive = func(pvd.Key) bool { return true }
	}
	if cfg.Foreign == nil {
		cfg.Foreign = func(*pvd.Domain, netip.Addr) bool { return false }
	}
	return &Names{
		cfg: cfg, perApp: max(1, int(float64(cfg.Max)*cfg.PerApp)), now: time.Now, aliases: newAliases(),
		entries: make(map[nameKey]*list.Element), all: list.New(), apps: make(map[netip.Addr]*list.List),
	}
}

// Learn remembers an answer and returns the addresses to give the app in the
// place of l.Addrs: the same, but for those that it knows already by another
// answer, of another domain. Such an address would lead two names to one network;
// the later name gets an alias (standards D.6). So does an address on another
// domain's link: the flow must come to us to be led where the answer came from
// (DNS rebinding). nil says that an app that wants addresses as they are must not
// have these. It fits Config.Learned and does not allocate for an answer that is
// known.
func (n *Names) Learn(l Learned) []netip.Addr {
	app := n.cfg.App(l.App.Addr().Unmap())
	life := min(max(l.TTL, 0)+nameGrace, maxLife)
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	told := l.Addrs
	for i, addr := range l.Addrs {
		k := nameKey{app, addr.Unmap()}
		b := Binding{Name: l.Name, Domain: l.Domain, Private: l.Private || l.Domain != nil && l.Domain.Synthetic(k.addr)}
		foreign := l.Domain != nil && n.cfg.Foreign(l.Domain, k.addr)
		if foreign && l.Exact {
			return nil
		}
		if foreign || !l.Exact && n.contested(k, &b, now) {
			if alias, ok := n.aliases.of(b, k.addr); ok {
				if &told[0] == &l.Addrs[0] {
					told = append([]netip.Addr(nil), l.Addrs...)
				}
				told[i] = alias
				continue
			}
		}
		n.put(k, b, now.Add(life))
	}
	return told
}

// contested reports whether a living answer of another domain gave the app the
// same address, and one of the two means something in its own domain only.
func (n *Names) contested(k nameKey, b *Binding, now time.Time) bool {
	e, ok := n.entries[k]
	if !ok || b.Domain == nil {
		return false
	}
	have := e.Value.(*nameEntry)
	return have.Domain != nil && have.Domain.Key() != b.Domain.Key() && !now.After(have.expires) &&
		(have.Private || b.Private || pvd.Private(k.addr)) && n.cfg.Alive(have.Domain.Key())
}

// Lookup returns what is known of an address that app was given. ok is false
// when nothing is known or its time is over. It does not allocate.
func (n *Names) Lookup(app, addr netip.Addr) (b Binding, ok bool) {
	addr = addr.Unmap()
	if IsAlias(addr) {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.aliases.lookup(addr)
	}
	k := nameKey{n.cfg.App(app.Unmap()), addr}
	n.mu.Lock()
	defer n.mu.Unlock()
	e, found := n.entries[k]
	if !found {
		return Binding{}, false
	}
	entry := e.Value.(*nameEntry)
	if n.now().After(entry.expires) {
		n.remove(e)
		return Binding{}, false
	}
	return entry.Binding, true
}

// Recall adds to a flow what its app was told about the destination: the name,
// whose answer it was, and the address that an alias stands for. It does not
// allocate.
func (n *Names) Recall(f *flow.Flow) {
	b, ok := n.Lookup(f.Src.Addr(), f.Dst.Addr())
	if !ok {
		return
	}
	f.Name = b.Name
	if b.Domain != nil {
		k := b.Domain.Key()
		f.Answer = flow.Answer{Slot: k.Slot, Attached: k.Attached, Known: true, Private: b.Private}
	}
	if b.Real.IsValid() {
		f.Dst = netip.AddrPortFrom(b.Real, f.Dst.Port())
	}
}

// Forget forgets what an app was told: it is no more.
func (n *Names) Forget(app netip.Addr) {
	app = n.cfg.App(app.Unmap())
	n.mu.Lock()
	defer n.mu.Unlock()
	for mine := n.apps[app]; mine != nil && mine.Len() > 0; {
		n.remove(n.entries[mine.Front().Value.(nameKey)])
	}
}

// AliasName returns the name an alias stands for; it fits Config.AliasName.
func (n *Names) AliasName(a netip.Addr) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	b, ok := n.aliases.lookup(a)
	return b.Name, ok
}

// Len returns how many pairs are remembered.
func (n *Names) Len() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.all.Len()
}

// Evicted returns how many pairs had to go before their time.
func (n *Names) Evicted() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.evicted
}

func (n *Names) put(k nameKey, b Binding, expires time.Time) {
	if e, ok := n.entries[k]; ok {
		old := e.Value.(*nameEntry)
		old.Binding, old.expires = b, expires
		n.all.MoveToBack(e)
		n.apps[k.app].MoveToBack(old.mine)
		return
	}
	mine := n.apps[k.app]
	if mine == nil {
		mine = list.New()
		n.apps[k.app] = mine
	}
	switch {
	case mine.Len() >= n.perApp:
		n.evict(n.entries[mine.Front().Value.(nameKey)])
	case n.all.Len() >= n.cfg.Max:
		n.evict(n.all.Front())
	}
	// The eviction may have emptied, and so dropped, the app's own list.
	if n.apps[k.app] == nil {
		n.apps[k.app] = mine
	}
	entry := &nameEntry{nameKey: k, Binding: b, expires: expires}
	entry.mine = mine.PushBack(k)
	n.entries[k] = n.all.PushBack(entry)
}

func (n *Names) evict(e *list.Element) {
	if n.now().Before(e.Value.(*nameEntry).expires) {
		n.evicted++
	}
	n.remove(e)
}

func (n *Names) remove(e *list.Element) {
	entry := n.all.Remove(e).(*nameEntry)
	delete(n.entries, entry.nameKey)
	mine := n.apps[entry.app]
	mine.Remove(entry.mine)
	if mine.Len() == 0 {
		delete(n.apps, entry.app)
	}
}
