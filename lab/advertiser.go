package lab

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	"mifvif/lab/nd"
)

// advertEvery is how often a router says the same again. Hosts that ask are
// answered at once.
const advertEvery = 3 * time.Second

// An Advertiser is a router's voice on a link: it advertises at once, again
// every three seconds, and whenever a host solicits (RFC 4861 6.2). It ends
// with its Close or the world's. Its methods may be called from several
// goroutines.
type Advertiser struct {
	source   netip.Addr
	socket   *advertSocket
	asked    *Capture
	solicits chan struct{} // 1: one answer is enough for several questions
	quit     chan struct{}
	gone     chan struct{}
	closing  sync.Once

	mu      sync.Mutex
	message []byte // nil: silent
}

// Advertise has a node advertise on its link from a link-local address, which
// should be the node's own if hosts are to use it as their router.
func (n *Node) Advertise(link string, source netip.Addr, ra nd.RA) (*Advertiser, error) {
	a := &Advertiser{
		source: source, solicits: make(chan struct{}, 1), quit: make(chan struct{}), gone: make(chan struct{}), message: ra.Bytes(),
	}
	var err error
	if a.socket, err = n.openAdverts(link); err != nil {
		return nil, err
	}
	if a.asked, err = n.Capture(link, a.heard); err != nil {
		return nil, errors.Join(err, a.socket.close())
	}
	a.speak()
	go a.run()
	n.world.onClose(a.Close)
	return a, nil
}

// heard looks for solicitations among the link's packets and keeps none.
func (a *Advertiser) heard(r Record) bool {
	if !r.Out && r.Proto == 58 && r.SrcPort == 133<<8 {
		select {
		case a.solicits <- struct{}{}:
		default:
		}
	}
	return false
}

func (a *Advertiser) run() {
	defer close(a.gone)
	tick := time.NewTicker(advertEvery)
	defer tick.Stop()
	for {
		select {
		case <-a.quit:
			return
		case <-tick.C:
		case <-a.solicits:
		}
		a.speak()
	}
}

// speak advertises once. A link that is down for now says nothing.
func (a *Advertiser) speak() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.message != nil {
		_ = a.socket.send(Advert{Source: a.source, Message: a.message})
	}
}

// Set changes what is advertised and says it at once.
func (a *Advertiser) Set(ra nd.RA) {
	a.mu.Lock()
	a.message = ra.Bytes()
	a.mu.Unlock()
	a.speak()
}

// Silence stops the router's talk without a word, as a crash does; Set starts
// it again.
func (a *Advertiser) Silence() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.message = nil
}

// Close ends it.
func (a *Advertiser) Close() (err error) {
	a.closing.Do(func() {
		close(a.quit)
		<-a.gone
		err = errors.Join(a.asked.Close(), a.socket.close())
	})
	return err
}
