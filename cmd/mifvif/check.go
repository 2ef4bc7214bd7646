package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mifvif/config"
	"mifvif/control"
	"mifvif/scheduler"
	"mifvif/uplinks"
)

func checkCommand(*globals) *cobra.Command {
	var path string
	var defaults bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Parse and validate a configuration",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if defaults {
				return say(cmd, config.Defaults())
			}
			cfg, err := readConfig(path)
			if err != nil {
				return err
			}
			var text strings.Builder
			for _, w := range slices.Concat(cfg.Warnings, cfg.Unused) {
				fmt.Fprintln(&text, w)
			}
			if w := multipathTrouble(cfg); w != "" {
				fmt.Fprintln(&text, w)
			}
			fmt.Fprintln(&text, "the configuration is valid"+whose(path))
			return say(cmd, text.String())
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "configuration `FILE` (default "+config.DefaultPath+" if it is there)")
	cmd.Flags().BoolVar(&defaults, "print-defaults", false, "print the whole effective configuration of an empty file")
	return cmd
}

// whose says which configuration was read where the person named none.
func whose(path string) string {
	if path != "" {
		return ""
	}
	if _, err := os.Stat(config.DefaultPath); errors.Is(err, fs.ErrNotExist) {
		return ": the built-in one, as there is no " + config.DefaultPath
	}
	return ": " + config.DefaultPath
}

// multipathTrouble says that rules ask for Multipath TCP on a host that has none, ""
// if they do not or it has.
func multipathTrouble(cfg *config.Config) string {
	asked := slices.ContainsFunc(cfg.Policy.Rules, func(r scheduler.Rule) bool {
		return r.MPTCP == scheduler.MultipathAuto || r.MPTCP == scheduler.MultipathRequire
	})
	if !asked {
		return ""
	}
	if err := uplinks.HasMultipath(); err != nil {
		return fmt.Sprintf("warning: rules ask for Multipath TCP, which cannot be used on this host: %v", err)
	}
	return ""
}

func reloadCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Make the daemon read its configuration again: all of it takes effect or none",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := g.client().Reload(cmd.Context())
			if errors.As(err, new(control.Mistake)) {
				return placedError{err}
			}
			return err
		},
	}
}
