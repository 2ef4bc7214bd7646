package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"mifvif/cell"
	"mifvif/control"
)

func execCommand(g *globals) *cobra.Command {
	var pvd string
	cmd := &cobra.Command{
		Use:   "exec --pvd P [--] COMMAND [ARG...]",
		Short: "Run a command with all its traffic and names in one domain, and in no other",
		Long: "Runs a command that reaches domain P and nothing else: not the other networks, not this host. The daemon starts it\n" +
			"as the user who asks, in a network namespace of its own. Where P cannot be used the command's connections are\n" +
			"refused; they never take another way. When the command ends whatever it has left running is killed. Exits as the\n" +
			"command does (128 and the signal's number where one has ended it), 4 where a rule keeps the user off P.",
		Example: "  mifvif exec --pvd lte -- curl https://example.com/\n  mifvif exec --pvd lte bash",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if pvd == "" {
				return usageError{errors.New("exec wants a domain: --pvd P (see: mifvif status)")}
			}
			c, err := g.client().Command(cmd.Context(), pvd)
			if err != nil {
				return err
			}
			defer c.Close()
			return runIn(cmd, c, args)
		},
	}
	cmd.Flags().StringVar(&pvd, "pvd", "", "run in domain `P`")
	cmd.Flags().SetInterspersed(false) // what follows the command is the command's
	return cmd
}

// exitStatus is how a command has ended, which is no error of ours.
type exitStatus int

// Error implements error.
func (e exitStatus) Error() string { return fmt.Sprintf("the command exited with %d", int(e)) }

// signalled is what shells add to the number of the signal that ended a command.
const signalled = 128

// runIn sends a command and stays until it has ended.
func runIn(cmd *cobra.Command, c *control.Command, args []string) error {
	files, err := openFiles()
	if err != nil {
		return err
	}
	defer files.close()
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find the working directory: %w", err)
	}
	umask := unix.Umask(0)
	unix.Umask(umask)
	r := cell.Request{Args: bytesOf(args), Env: bytesOf(os.Environ()), Dir: []byte(dir), Umask: umask, Terminal: files.pty != nil}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGCONT, unix.SIGTSTP, unix.SIGWINCH)
	defer signal.Stop(signals)
	if err := r.Send(c.Conn, files.fds[0], files.fds[1], files.fds[2]); err != nil {
		return err
	}
	w, err := c.Hear()
	if err != nil {
		return err
	}
	if w.Error != "" {
		return errors.New(w.Error)
	}
	if w.Warning != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "mifvif: "+w.Warning)
	}
	return files.attend(c, signals)
}

func bytesOf(all []string) [][]byte {
	out := make([][]byte, len(all))
	for i, s := range all {
		out[i] = []byte(s)
	}
	return out
}

// stageCommand is what the daemon calls itself as, to become somebody's command.
const stageCommand = "exec-stage"

// stage is run by the daemon, in the command's namespace.
func stage() *cobra.Command {
	return &cobra.Command{
		Use:    stageCommand + " RESOLV_CONF MARK",
		Hidden: true,
		Args:   cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			_ = cell.Stage(args[0], args[1]) // it has told whom it concerns, and the files are another's by now
			return exitStatus(exitFailed)
		},
	}
}
