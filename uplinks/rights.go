package uplinks

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"

	"mifvif/uplinks/multipath"
)

// What the kernel says of Multipath TCP in a network namespace.
const (
	multipathEnabled = "/proc/sys/net/mptcp/enabled"
	pathManager      = "/proc/sys/net/mptcp/pm_type"
	managerKernel    = 0 // net.mptcp.pm_type: it makes subflows to every endpoint it was given
	managerUser      = 1 // whoever has the right makes them, connection by connection
)

// rights is whether this network namespace's multipath connections are ours to give
// subflows to. The kernel asks net.mptcp.pm_type when a socket is made, for all of
// the namespace: its own path manager would put flows that may use one domain only on
// every endpoint there is. So it is set while a rule or a connection needs it, and
// put back after. Safe for concurrent use.
type rights struct {
	mu    sync.Mutex
	paths *multipath.Paths // nil: not taken
	live  int              // connections
	why   error            // why they cannot be taken, nil if they can
}

// Multipath takes the rights if a rule needs them, repairs them, or gives them back
// when nothing needs them any more. It returns why they cannot be had, whether
// they are needed or not; nil if they can, as far as is known. The goroutine of Apply
// calls it.
func (s *Set) Multipath(needed bool) error {
	r := &s.rights
	r.mu.Lock()
	defer r.mu.Unlock()
	if !needed && r.live == 0 {
		if err := errors.Join(s.give(), s.cfg.Undo.Release(pathManager)); err != nil && s.first(pathManager) {
			s.log.Warn("net.mptcp.pm_type could not be put back", "error", err)
		}
		return r.why
	}
	if r.why = s.take(); r.why != nil {
		if err := s.cfg.Undo.Release(pathManager); err != nil && s.first(pathManager) {
			s.log.Warn("net.mptcp.pm_type could not be put back", "error", err)
		}
	}
	return r.why
}

// hold takes the rights for a connection, which gives its part back with let.
func (s *Set) hold() (*multipath.Paths, error) {
	r := &s.rights
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.paths == nil {
		r.why = s.take()
	}
	if r.why != nil {
		return nil, r.why
	}
	r.live++
	return r.paths, nil
}

func (s *Set) let() {
	s.rights.mu.Lock()
	defer s.rights.mu.Unlock()
	s.rights.live--
}

// HasMultipath returns why this host, in this network namespace, has no Multipath TCP
// that subflows can be given to, nil if it has.
func HasMultipath() error {
	_, err := supported()
	return err
}

// supported returns which path manager is in force.
func supported() (manager int, err error) {
	if enabled, err := readSetting(multipathEnabled); err != nil {
		return 0, unable("this kernel has none")
	} else if enabled == 0 {
		return 0, unable("it is switched off here (net.mptcp.enabled is 0)")
	}
	if manager, err = readSetting(pathManager); err != nil {
		return 0, unable("this kernel lets nobody else make subflows (net.mptcp.pm_type is missing)")
	}
	return manager, nil
}

// take makes the connections of this namespace ours, or says why not. rights.mu is
// held.
func (s *Set) take() error {
	manager, err := supported()
	if err != nil {
		return err
	}
	if manager != managerKernel && !s.cfg.Undo.Noted(pathManager) {
		return unable(fmt.Sprintf("another path manager has it (net.mptcp.pm_type is %d; stop it, and set that to 0)", manager))
	}
	paths := s.rights.paths
	if paths == nil {
		if paths, err = multipath.Open(); err != nil {
			return unable(err.Error())
		}
	}
	if n, err := paths.Endpoints(); err != nil || n > 0 {
		if s.rights.paths == nil {
			err = errors.Join(err, paths.Close())
		}
		if n > 0 {
			return unable(fmt.Sprintf("the kernel's own path manager was given %d endpoints (ip mptcp endpoint show), which would be without effect", n))
		}
		return unable(err.Error())
	}
	if manager != managerUser {
		s.log.Info("net.mptcp.pm_type is set while flows may use Multipath TCP: their subflows are made by rules, and not to every endpoint", "from", manager)
		err = s.cfg.Undo.Record(pathManager, strconv.Itoa(manager), strconv.Itoa(managerUser))
		if err == nil { // what cannot be noted for undoing is left as it is
			err = os.WriteFile(pathManager, []byte(strconv.Itoa(managerUser)), 0)
		}
		if err != nil {
			if s.rights.paths == nil {
				err = errors.Join(err, paths.Close())
			}
			return unable(err.Error())
		}
	}
	s.rights.paths = paths
	return nil
}

// give ends the connection to the kernel's path manager. rights.mu is held.
func (s *Set) give() error {
	paths := s.rights.paths
	if paths == nil {
		return nil
	}
	s.rights.paths = nil
	return paths.Close()
}

// unable is why Multipath TCP cannot be used; it is errors.ErrUnsupported.
type unable string

func (why unable) Error() string { return string(why) }

// Is says what it is.
func (unable) Is(target error) bool { return target == errors.ErrUnsupported } //nolint:errorlint // errors.Is unwraps
