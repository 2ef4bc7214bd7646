package scenario

import (
	"errors"
	"fmt"
	"slices"

	"mifvif/lab"
)

// errBlind says that an observer missed packets, so that it can prove nothing.
var errBlind = errors.New("a capture missed packets and can prove nothing")

// nothing returns an error if a capture has kept any packet, or if it may have
// overlooked one.
func nothing(c *lab.Capture, what string) error {
	all := c.Records()
	missed, err := c.Missed()
	if err != nil {
		return err
	}
	if missed > 0 {
		return errBlind
	}
	if len(all) > 0 {
		return fmt.Errorf("%s: %d packets, the first %v", what, c.Matched(), all[0])
	}
	return nil
}

// ports matches packets from or to any of the given TCP or UDP ports.
func ports(all ...uint16) func(lab.Record) bool {
	return func(r lab.Record) bool {
		return (r.Proto == 6 || r.Proto == 17) && (slices.Contains(all, r.SrcPort) || slices.Contains(all, r.DstPort))
	}
}
