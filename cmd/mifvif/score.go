package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"mifvif/lab/mark"
	"mifvif/lab/scenario"
)

// labScore plays every row against mifvif and the plain kernel.
func labScore() *cobra.Command {
	var table string
	cmd := &cobra.Command{
		Use:   "score [ID...]",
		Short: "Play scenarios against mifvif and against the plain kernel, and print both scores as a table",
		RunE: func(cmd *cobra.Command, ids []string) error {
			binary, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this binary: %w", err)
			}
			chosen, err := scenario.Select(ids...)
			if err != nil {
				return usageError{err}
			}
			var reports [2]scenario.Report
			for i, system := range []string{scenario.Mifvif, scenario.Kernel} {
				player := scenario.Player{System: system, Binary: binary, Strict: true}
				if reports[i], err = player.Run(cmd.Context(), chosen, func(r scenario.Result) { printResult(cmd.ErrOrStderr(), r) }); err != nil {
					return err //nolint:wrapcheck // says what and where
				}
			}
			text := scenario.Table(reports[0], reports[1])
			if table != "" {
				return mark.Write(table, "score", text) //nolint:wrapcheck // says what and where
			}
			fmt.Fprint(cmd.OutOrStdout(), text)
			return nil
		},
	}
	cmd.Flags().StringVar(&table, "table", "", "write the table into `FILE`, between its score marks")
	return cmd
}
