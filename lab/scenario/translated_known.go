package scenario

import (
	"context"
	"fmt"
	"time"

	"mifvif/lab"
)

// bothWired has wires that can be made to lose everything.
func bothWired() lab.Layout { return behind(lab.WireConfig{}, lab.WireConfig{}) }

// knownFallsSilent has a network go silent whose way is known, so that flows by it
// are translated: the next connect is by the other network as soon as if it had
// been terminated from the start.
func knownFallsSilent(ctx context.Context, e *Env) error {
	for _, dst := range bothFamilies(lab.PortEcho) {
		first, err := e.Talk(ctx, dst, lab.SocketOptions{})
		if err != nil {
			return err
		}
		first.Close()
		if err := e.goes(ctx, "offloaded", first.Network, dst); err != nil {
			return err
		}
		e.Wire(first.Network).SetLoss(1)
		begin := time.Now()
		next, err := e.Talk(ctx, dst, lab.SocketOptions{})
		took := time.Since(begin)
		if err != nil {
			return err
		}
		defer next.Close()
		if next.Network == first.Network || took > time.Second {
			return fmt.Errorf("with %s silent, %v was reached by %s in %v", first.Network, dst, next.Network, took)
		}
		if err := e.path(ctx, next, "terminated"); err != nil {
			return err
		}
		e.Wire(first.Network).SetLoss(0)
	}
	return nil
}
