package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// outputFlag adds -o; the first format is the default.
func outputFlag(c *cobra.Command, value *string, formats ...string) {
	c.Flags().StringVarP(value, "output", "o", formats[0], "`FORMAT`: "+orList(formats))
	completeWith(c, "output", formats...)
}

func checkFormat(format string, formats ...string) error {
	if slices.Contains(formats, format) {
		return nil
	}
	return fmt.Errorf("-o %s: not a format; use %s", format, orList(formats))
}

func orList(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// completeWith offers fixed words for a flag.
func completeWith(c *cobra.Command, flag string, words ...string) {
	if err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag was registered before
	}
}
