package main

import (
	"slices"

	"mifvif/nat"
	"mifvif/nat/offload"
	"mifvif/relay"
	"mifvif/scheduler"
)

// newStreams makes what has the kernel translate TCP, nil where it cannot: then
// every TCP flow is terminated.
func (d *daemon) newStreams(flows int) (*nat.Streams, error) {
	kernel, err := offload.New(d.device.Ifindex(), flows)
	if err != nil {
		d.log.Info("TCP is terminated, never translated", "error", err)
		d.untranslated = err.Error()
		return nil, nil
	}
	d.scheduler.Translates(true)
	return nat.NewStreams(nat.StreamConfig{MTU: d.device.MTU(), Learn: relay.Learn(d.scheduler)}, kernel, d.device, d.uplinks, d.log)
}

// asksTranslation reports whether the policy asks for what newStreams makes.
func asksTranslation(p *scheduler.Policy) bool {
	return p.Path == scheduler.PathTranslate || slices.ContainsFunc(p.Rules, func(r scheduler.Rule) bool { return r.Path == scheduler.PathTranslate })
}
