package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"mifvif/control"
)

func watchCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Every change as it happens, one JSON object a line",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := json.NewEncoder(cmd.OutOrStdout())
			out.SetEscapeHTML(false)
			return g.client().Events(cmd.Context(), func(e control.Event) error { return out.Encode(e) })
		},
	}
	cmd.Flags().Bool("json", true, "it always is JSON")
	return cmd
}
