package dns

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
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
}

// Names remembers which name gave an app an address, so that a flow to the
// address can be called by its name. It is a bounded table whose entries expire
// with their records. Safe for concurrent use.
type Names struct {
	cfg    NamesConfig
	perApp int
	now    func() time.Time

	mu      sync.Mutex
	entries map[nameKey]*list.Element // of *nameEntry, in all
	all     *list.List                // oldest first
	apps    map[netip.Addr]*list.List // per app, oldest first
	evicted uint64
}

type nameKey struct{ app, addr netip.Addr }

type nameEntry struct {
	nameKey
	name    string
	expires time.Time
	mine    *list.Element // in the app's own list
}

// NewNames returns an empty table.
func NewNames(cfg NamesConfig) *Names {
	cfg.Max = max(1, cfg.Max)
	if cfg.App == nil {
		cfg.App = func(a netip.Addr) netip.Addr { return a }
	}
	return &Names{
		cfg: cfg, perApp: max(1, int(float64(cfg.Max)*cfg.PerApp)), now: time.Now,
		entries: make(map[nameKey]*list.Element), all: list.New(), apps: make(map[netip.Addr]*list.List),
	}
}

// Learn remembers an answer; it fits Config.Learned. The latest answer for an
// address wins.
func (n *Names) Learn(l Learned) {
	app := n.cfg.App(l.App.Addr().Unmap())
	life := min(max(l.TTL, 0)+nameGrace, maxLife)
	n.mu.Lock()
	defer n.mu.Unlock()
	expires := n.now().Add(life)
	for _, addr := range l.Addrs {
		n.put(nameKey{app, addr.Unmap()}, l.Name, expires)
	}
}

// Lookup returns the name whose answer gave app the address, without the final
// dot. ok is false when none is known or its time is over.
func (n *Names) Lookup(app, addr netip.Addr) (name string, ok bool) {
	k := nameKey{n.cfg.App(app.Unmap()), addr.Unmap()}
	n.mu.Lock()
	defer n.mu.Unlock()
	e, found := n.entries[k]
	if !found {
		return "", false
	}
	entry := e.Value.(*nameEntry)
	if n.now().After(entry.expires) {
		n.remove(e)
		return "", false
	}
	return entry.name, true
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

func (n *Names) put(k nameKey, name string, expires time.Time) {
	if old, ok := n.entries[k]; ok {
		n.remove(old)
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
	entry := &nameEntry{nameKey: k, name: name, expires: expires}
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
