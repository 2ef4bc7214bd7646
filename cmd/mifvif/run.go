package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/signal"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"mifvif/config"
	"mifvif/control"
	"mifvif/control/metrics"
)

// defaultState is where undo records are kept: gone with the next boot, as is
// what they undo.
const defaultState = "/run/mifvif"

func runCommand(g *globals) *cobra.Command {
	var path, state, level string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Carry the host's traffic, in the foreground",
		Long: "Finds every usable uplink, makes mif0 the default route and puts each flow on an uplink.\n" +
			"SIGHUP reads the configuration again; SIGTERM or SIGINT undo everything; a second signal exits at once.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var lv slog.Level
			if err := lv.UnmarshalText([]byte(level)); err != nil {
				return usageError{fmt.Errorf("--log-level %q: debug, info, warn or error", level)}
			}
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: lv}))
			return run(cmd, g, path, state, log)
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "configuration `FILE` (default "+config.DefaultPath+" if it is there)")
	cmd.Flags().StringVar(&state, "state", defaultState, "`DIR` for what undoes changes after a kill")
	cmd.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	return cmd
}

// readConfig reads the configuration a person named, or the usual one if it is
// there, and the rules of users beside it.
func readConfig(path string) (*config.Config, error) {
	var cfg *config.Config
	if path == "" {
		path = config.DefaultPath
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			cfg = config.Default()
		}
	}
	if cfg == nil {
		var err error
		if cfg, err = config.Load(path); err != nil {
			return nil, err
		}
	}
	return cfg, cfg.AddUsers(path)
}

// run is the daemon from its first check to its last undo.
func run(cmd *cobra.Command, g *globals, path, state string, log *slog.Logger) error {
	cfg, err := readConfig(path)
	if err != nil {
		return err
	}
	if err := permitted(cmd); err != nil {
		return err
	}
	lock, err := control.Lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := checkState(state); err != nil {
		return err
	}
	if err := os.MkdirAll(state, 0o755); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	leaveRoom()
	goFirst()
	endLeft(log)
	d, err := newDaemon(path, state, cfg, log)
	if err != nil {
		return err
	}
	server, err := control.Listen(g.socketFor(cfg), cfg.Control.Group, d.handlers(), log)
	if err != nil {
		return errors.Join(err, d.device.Close())
	}
	web := openWeb(cfg, d, log)
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGHUP, unix.SIGTERM, unix.SIGINT)
	defer signal.Stop(signals)
	ready := func() {
		fmt.Fprintln(cmd.OutOrStdout(), "mifvif: ready")
		notify(log, sd.SdNotifyReady)
	}
	return d.run(ctx, ready, server.Run, web, func(ctx context.Context) error { return d.heed(ctx, signals, stop) })
}

// openWeb opens control.web and returns what serves it until its context ends;
// without one that does nothing. Traffic does not wait for it: that the address is
// taken is a warning.
func openWeb(cfg *config.Config, d *daemon, log *slog.Logger) func(context.Context) error {
	nothing := func(context.Context) error { return nil }
	if !cfg.Control.Web.IsValid() {
		return nothing
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler(d.metrics))
	web, err := control.ListenWeb(cfg.Control.Web, mux, log)
	if err != nil {
		log.Warn("metrics are on the control socket only", "error", err)
		return nothing
	}
	return web.Run
}

// notify tells a service manager, if there is one.
func notify(log *slog.Logger, state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		log.Debug("the service manager could not be told", "error", err)
	}
}

// permitted reports in plain words what is missing to make devices and routes.
func permitted(cmd *cobra.Command) error {
	if os.Geteuid() == 0 {
		return nil
	}
	return fmt.Errorf("no permission to make network devices and routes (run as root: sudo %s)", cmd.CommandPath())
}
