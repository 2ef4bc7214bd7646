package main

import (
	"context"
	"errors"
	"os"
	"strings"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"mifvif/config"
	"mifvif/control"
)

// heed answers signals until ctx ends: SIGHUP reads the configuration again,
// SIGTERM and SIGINT stop. From then on another of these exits at once.
func (d *daemon) heed(ctx context.Context, signals <-chan os.Signal, stop func()) error {
	for {
		select {
		case <-ctx.Done():
		case s := <-signals:
			if s == unix.SIGHUP {
				if err := d.reload(ctx); err != nil {
					d.log.Error("the configuration was not reloaded, the old one stays in force", "error", err)
				}
				continue
			}
			notify(d.log, sd.SdNotifyStopping)
			stop()
		}
		go d.exitOn(signals) // ends with the process: undoing is under way
		return nil
	}
}

// exitOn ends the process at the next signal, undone or not.
func (d *daemon) exitOn(signals <-chan os.Signal) {
	for s := range signals {
		if s != unix.SIGHUP {
			d.log.Warn("stopped at once: mifvif cleanup removes what is left")
			os.Exit(1)
		}
	}
}

// errFixed says that a change needs a new start.
var errFixed = errors.New("name, mtu and addresses of interface, dns, router, discovery.ca, limits and control cannot change while mifvif runs (restart it)")

// reload reads the configuration again: all of it takes effect, or none, which is
// an event and a warning until one is taken.
func (d *daemon) reload(ctx context.Context) error {
	err := d.take(ctx)
	if err == nil {
		d.refused.Store(nil)
		return nil
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	d.refused.Store(&text)
	d.tell("reload", "", "not taken, the old configuration stays in force: "+text)
	return err
}

// take reads the configuration again and has the publisher put it in force.
func (d *daemon) take(ctx context.Context) error {
	cfg, err := readConfig(d.path)
	if invalid, ok := errors.AsType[*config.Error](err); ok {
		return control.Mistake{Err: invalid}
	}
	if err != nil {
		return err
	}
	if !sameFixed(d.config.Load(), cfg) {
		return errFixed
	}
	return d.publisher.order(ctx, order{config: cfg})
}
