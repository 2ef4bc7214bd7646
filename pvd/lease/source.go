package lease

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"mifvif/netwatch"
	"mifvif/netwatch/bus"
	"mifvif/pvd"
)

// Directory is where systemd-networkd keeps its state: leases/ and links/ have a file
// for each interface, by its index.
const Directory = "/run/systemd/netif"

// kind is one directory of state files.
type kind struct {
	name   string
	origin pvd.Origin
	parse  func(b []byte, ifindex int, received time.Time) (pvd.Report, error)
}

func kinds() []kind {
	return []kind{{"leases", pvd.FromDHCPv4, ParseLease}, {"links", pvd.FromManager, ParseLink}}
}

// file names one state file.
type file struct {
	origin pvd.Origin
	index  int
}

// every is how often the files are looked at: networkd replaces them by renaming.
const every = 5 * time.Second

// maxLinks bounds the links whose files are read.
const maxLinks = 1024

// Config is what a Source needs.
type Config struct {
	// Deliver takes every report, from the goroutine of Run; it must not block.
	Deliver   func(pvd.Report)
	Directory string // "": Directory
}

// Source follows the leases of systemd-networkd. Make one with New.
type Source struct {
	config Config
	log    *slog.Logger
	wake   chan struct{} // 1: full means that the files are to be read already

	mu    sync.Mutex
	links []netwatch.Link
}

// New returns a Source that follows no link yet.
func New(config Config, log *slog.Logger) *Source {
	if config.Directory == "" {
		config.Directory = Directory
	}
	return &Source{config: config, log: log, wake: make(chan struct{}, 1)}
}

// Watch replaces the links whose leases are followed. Safe for concurrent use.
func (s *Source) Watch(links ...netwatch.Link) {
	s.mu.Lock()
	s.links = links[:min(len(links), maxLinks)]
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run reads the files until ctx ends. Where networkd does not run there are none, and
// where the host's first process is in another network namespace they are about
// other interfaces.
func (s *Source) Run(ctx context.Context) error {
	if s.config.Directory == Directory && !bus.Here(1) {
		<-ctx.Done()
		return nil
	}
	said := make(map[file][]byte) // content
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-tick.C:
		}
		s.read(said)
	}
}

// read delivers what has changed since said.
func (s *Source) read(said map[file][]byte) {
	s.mu.Lock()
	links := s.links
	s.mu.Unlock()
	there := make(map[file]bool, len(links))
	for _, l := range links {
		for _, k := range kinds() {
			f := file{k.origin, l.Index}
			if s.follow(said, f, k, l) {
				there[f] = true
			}
		}
	}
	for f := range said {
		if !there[f] {
			s.withdraw(said, f)
		}
	}
}

// follow delivers what has changed in one file; it is false where the file is not
// there, or none of networkd's.
func (s *Source) follow(said map[file][]byte, f file, k kind, l netwatch.Link) bool {
	b, err := readFile(filepath.Join(s.config.Directory, k.name, strconv.Itoa(l.Index)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false
	case err != nil || bytes.Equal(b, said[f]):
		return true
	}
	r, err := k.parse(b, l.Index, time.Now())
	if err != nil {
		s.log.Debug("a state file of systemd-networkd cannot be read", "interface", l.Name, "file", k.name, "error", err)
		return false
	}
	said[f] = b
	s.config.Deliver(r)
	return true
}

// withdraw takes back what a file said.
func (s *Source) withdraw(said map[file][]byte, f file) {
	delete(said, f)
	now := time.Now()
	s.config.Deliver(pvd.Report{Origin: f.origin, Ifindex: f.index, Received: now, Until: now})
}

// readFile reads as much of a file as a state file may have, and one byte more.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}
