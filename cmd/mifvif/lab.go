package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"mifvif/lab"
	"mifvif/lab/demo"
	"mifvif/lab/scenario"

	"github.com/spf13/cobra"
)

// labCommand builds worlds in network namespaces and runs this very binary in
// them.
func labCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Worlds in network namespaces: see mifvif at work, play the problems of RFC 6418",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(labDemo(), labList(), labRun(), labScore(), labShell())
	return cmd
}

func labDemo() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Two uplinks and an Internet: send traffic, take an uplink down, see where each flow went and why",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			binary, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this binary: %w", err)
			}
			return demo.Run(cmd.Context(), cmd.OutOrStdout(), binary, nil)
		},
	}
}

func labList() *cobra.Command {
	g := &globals{}
	return withJSON(&cobra.Command{
		Use:   "list",
		Short: "List the scenarios",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all := []listed{}
			for _, s := range scenario.All() {
				all = append(all, listed{s.ID, s.Title})
			}
			return show(cmd, g, all, func(w io.Writer, all []listed) {
				for _, s := range all {
					fmt.Fprintf(w, "%-10s %s\n", s.ID, s.Title)
				}
			})
		},
	}, g)
}

// listed is a scenario of the list.
type listed struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

func labRun() *cobra.Command {
	var player scenario.Player
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "run [ID...]",
		Short: "Play scenarios against mifvif or the plain kernel and print the score (no ID: all)",
		RunE: func(cmd *cobra.Command, ids []string) error {
			var err error
			if player.Binary, err = os.Executable(); err != nil {
				return fmt.Errorf("find this binary: %w", err)
			}
			player.Strict = os.Getenv("CI") == "true"
			return playScenarios(cmd, player, ids, asJSON)
		},
	}
	cmd.Flags().StringVar(&player.System, "system", scenario.Mifvif, "mifvif, or kernel for comparison")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

func playScenarios(cmd *cobra.Command, player scenario.Player, ids []string, asJSON bool) error {
	if player.System != scenario.Mifvif && player.System != scenario.Kernel {
		return usageError{fmt.Errorf("--system %s: it is mifvif or kernel", player.System)}
	}
	chosen, err := scenario.Select(ids...)
	if err != nil {
		return usageError{err}
	}
	out := cmd.OutOrStdout()
	each := func(r scenario.Result) { printResult(out, r) }
	if asJSON {
		each = nil
	}
	report, err := player.Run(cmd.Context(), chosen, each)
	if err != nil {
		return err
	}
	if asJSON {
		err = json.NewEncoder(out).Encode(report)
	} else {
		fmt.Fprintf(out, "%s: %d passed, %d failed\n", report.System, report.Passed, report.Failed)
	}
	if err == nil && report.Failed > 0 && report.System == scenario.Mifvif {
		err = fmt.Errorf("%d scenarios failed", report.Failed)
	}
	return err
}

func printResult(out io.Writer, r scenario.Result) {
	took := time.Duration(r.Seconds * float64(time.Second)).Round(10 * time.Millisecond)
	fmt.Fprintf(out, "%-7s %-10s %s (%v)\n", r.Result, r.ID, r.Title, took)
	if r.Detail != "" {
		fmt.Fprintf(out, "        %s\n", r.Detail)
	}
}

func labShell() *cobra.Command {
	return &cobra.Command{
		Use:   "shell [NODE]",
		Short: "Build the common laboratory with the daemon in it and open a shell in a node (h, n1, n2, vpn, core)",
		Long: "Builds a host h with two uplinks and a tunnel, starts the daemon there and opens a shell in a node: h, n1, n2,\n" +
			"vpn or core, where the servers are (203.0.113.80, www.example.net). The daemon's configuration is /run/mifvif.yaml\n" +
			"in h; mifvif reload puts it in force. All of it goes with the shell.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			world, err := lab.NewCommon(lab.WithTunnel(), nil)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, world.Close()) }()
			node := world.Host
			if len(args) > 0 {
				if node = world.Node(args[0]); node == nil {
					return usageError{fmt.Errorf("no node %q: there are h, core, n1, n2, vpn", args[0])}
				}
			}
			return shellIn(cmd, world, node)
		},
	}
}

// shellConfig is the configuration in the laboratory's shell: one that may be edited.
const shellConfig = "# what is written here holds after: mifvif reload\n"

// shellIn starts the daemon in the host and a shell in the node, and ends with
// the shell.
func shellIn(cmd *cobra.Command, world *lab.Common, node *lab.Node) error {
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this binary: %w", err)
	}
	if _, err := world.Host.StartDaemon(cmd.Context(), binary, shellConfig); err != nil {
		return err
	}
	path := os.Getenv("SHELL")
	if path == "" {
		path = "/bin/sh"
	}
	shell := exec.Command(path)
	shell.Stdin, shell.Stdout, shell.Stderr = os.Stdin, os.Stdout, os.Stderr
	shell.Env = append(os.Environ(), "PS1="+node.Name+"# ", "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
	fmt.Fprintf(cmd.ErrOrStderr(), "a shell in %s, whatever its prompt says; exit, and the laboratory is gone\n", node.Name)
	process, err := node.Start(shell)
	if err != nil {
		return err
	}
	var status *exec.ExitError
	if err := process.Wait(cmd.Context()); err != nil && !errors.As(err, &status) {
		return err
	}
	return nil
}
