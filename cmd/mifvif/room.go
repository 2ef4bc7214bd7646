package main

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"mifvif/cell"
	"mifvif/owner"
	"mifvif/relay"
	"mifvif/tun"
)

// room is a cell with its way out.
type room struct {
	d      *daemon
	one    *command
	cell   *cell.Cell
	device *tun.Device
	finder *owner.Finder
	served sync.WaitGroup
	leave  func() // closes the way out, and ends what went by it
}

// openRoom makes a namespace whose only link ends here.
func (d *daemon) openRoom(ctx context.Context, one *command) (*room, error) {
	r := &room{d: d, one: one}
	addrs := relay.CommandAddresses(one.number)
	cfg := tun.Config{Name: d.device.Name(), MTU: d.device.MTU()}
	for _, a := range addrs {
		cfg.Addresses = append(cfg.Addresses, netip.PrefixFrom(a, a.BitLen()))
	}
	in, err := cell.Open(func() (err error) {
		if r.device, err = tun.OpenInside(cfg); err != nil {
			return err
		}
		if r.finder, err = owner.NewFinder(); err != nil {
			r.device.Close()
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make a network for the command: %w", err)
	}
	r.cell = in
	d.commands.opened(one, in)
	d.device.Branch(addrs[:], r.device)
	ctx, stop := context.WithCancel(ctx)
	r.served.Go(func() {
		inlet := &relay.Inlet{Device: r.device, Number: one.number, Domain: one.domain, User: one.uid, Owners: owners{r.finder, d.scheduler}}
		if err := d.relay.Serve(ctx, inlet); err != nil {
			d.log.Warn("a command has lost its network", "pvd", one.domain, "error", err)
		}
	})
	r.leave = sync.OnceFunc(func() {
		stop()
		d.device.Unbranch(r.device)
		if err := r.device.Close(); err != nil {
			d.log.Debug("a command's device could not be closed", "error", err)
		}
		r.served.Wait()
		d.names.Forget(addrs[0])
	})
	return r, nil
}

// close ends everything in the room.
func (r *room) close() {
	r.leave()
	if !r.cell.Empty() {
		r.d.log.Warn("a process of a command does not die", "pvd", r.one.domain)
	}
	r.d.commands.opened(r.one, nil)
	r.finder.Close()
	r.cell.Close()
}
