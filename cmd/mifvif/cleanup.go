package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"mifvif/config"
	"mifvif/control"
	"mifvif/dns/host"
	"mifvif/tun"
	"mifvif/uplinks"
)

func cleanupCommand(g *globals) *cobra.Command {
	var state string
	var keep bool
	cmd := &cobra.Command{
		Use:   "cleanup",
		Short: "Remove whatever a killed daemon left",
		Long: "Puts back what a killed daemon could not, and lifts the refusal that on_exit: block left.\n" +
			"A service manager does the first after every end of the daemon, and keeps the second: --keep-block.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := permitted(cmd); err != nil {
				return err
			}
			lock, err := control.Lock()
			if err != nil {
				return fmt.Errorf("%w: when it stops it cleans up itself", err)
			}
			defer lock.Close()
			if err := checkState(state); err != nil {
				return err
			}
			err = cleanup(cmd.Context(), state, keep, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)))
			return errors.Join(err, control.RemoveDead(g.socketPath()))
		},
	}
	cmd.Flags().StringVar(&state, "state", defaultState, "`DIR` of the daemon's undo records")
	cmd.Flags().BoolVar(&keep, "keep-block", false, "leave the refusal of on_exit: block in force, where it is")
	return cmd
}

// cleanup puts back what the records of this network namespace say, and removes
// what carries our numbers and names; with keep all but the refusal of on_exit: block.
func cleanup(ctx context.Context, state string, keep bool, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	endLeft(log)
	undo, err := uplinks.OpenUndoLog(filepath.Join(state, undoName("sysctl")), log)
	if err == nil {
		err = undo.Restore()
	}
	resolv := host.Restore(ctx, host.Config{
		Record: filepath.Join(state, undoName("resolv")), Path: host.DefaultPath, Servers: config.Default().DNS.Listen,
	}, log)
	return errors.Join(resolv, undraw(keep), uplinks.Cleanup(), tun.RemoveDead(config.Default().Interface.Name), err)
}

// undraw removes what drew traffic in; with keep the refusal stays where it is.
func undraw(keep bool) error {
	if !keep {
		return tun.Undraw(false)
	}
	blocked, err := tun.Blocked()
	if err != nil {
		return err
	}
	return tun.Undraw(blocked)
}

// undoName is the file of one kind of record for this network namespace.
func undoName(kind string) string { return "undo-" + kind + "-" + control.Cookie() + ".json" }

// record returns the path of one kind of record.
func (d *daemon) record(kind string) string { return filepath.Join(d.state, undoName(kind)) }
