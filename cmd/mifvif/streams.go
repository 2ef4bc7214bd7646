package main

import (
	"slices"

	"mifvif/nat"
	"mifvif/nat/offload"
	"mifvif/pvd"
	"mifvif/relay"
	"mifvif/scheduler"
)

// newKernel makes what has the kernel translate flows, nil where it cannot: then TCP
// is terminated, and every datagram carried.
func (d *daemon) newKernel(flows int) nat.Kernel {
	kernel, err := offload.New(d.device.Ifindex(), d.device.MTU(), flows)
	if err != nil {
		d.log.Info("the kernel translates no flows", "error", err)
		why := err.Error()
		d.untranslated.Store(&why)
		return nil
	}
	return kernel
}

// newStreams makes what keeps the TCP flows that the kernel translates, nil where it
// cannot.
func (d *daemon) newStreams(kernel nat.Kernel) (*nat.Streams, error) {
	if kernel == nil {
		return nil, nil
	}
	return nat.NewStreams(nat.StreamConfig{MTU: d.device.MTU(), Learn: relay.Learn(d.scheduler)}, kernel, d.device, d.uplinks, d.log)
}

// translate has the kernel translate flows over the domains of set, but while there
// are policies of IPsec: what the programs send would pass them by.
func (p *publisher) translate(set *pvd.Set) {
	if p.d.streams == nil {
		return
	}
	barred := p.last.Transforms
	p.d.untranslated.Store(nil)
	if barred {
		why := "the host has policies of IPsec"
		p.d.untranslated.Store(&why)
	}
	p.d.scheduler.Translates(!barred)
	p.d.nat.Keep(set, barred)
	p.d.streams.Keep(set, barred)
}

// asksTranslation reports whether the policy asks for what newStreams makes.
func asksTranslation(p *scheduler.Policy) bool {
	return p.Path == scheduler.PathTranslate || slices.ContainsFunc(p.Rules, func(r scheduler.Rule) bool { return r.Path == scheduler.PathTranslate })
}
