package netwatch

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// readTransforms looks for policies of IPsec about what leaves (RFC 4301 4.4.1), but
// for those of single sockets. A kernel without IPsec, or one that does not let us
// ask, has none.
func readTransforms(s *State) error {
	s.Transforms = false
	list, err := netlink.XfrmPolicyList(netlink.FAMILY_ALL)
	switch {
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPERM):
		return nil
	case err != nil && !errors.Is(err, netlink.ErrDumpInterrupted):
		return fmt.Errorf("read the policies of IPsec: %w", err)
	}
	for i := range list {
		s.Transforms = s.Transforms || list[i].Dir == netlink.XFRM_DIR_OUT
	}
	return err
}
