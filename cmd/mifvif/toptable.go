package main

import (
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// column is a column of a table that fits the screen.
type column struct {
	title       string
	least, most int  // columns of the screen; more than most only where there is room for all
	right       bool // its text stands at the right
	stretch     bool // it has what the others leave; one of a table
	rank        int  // the highest goes first where there is no room for all
	wide        int  // columns that its text would take
}

// fitted returns the columns for which there is room, with their indexes, each as
// wide as it is to be: least is its width then.
func fitted(columns []column, rows [][]string, width int) (kept []column, index []int) {
	for i, c := range columns {
		if !c.stretch {
			c.wide = columnsOf(c.title)
			for _, r := range rows {
				c.wide = max(c.wide, columnsOf(visible(r[i])))
			}
			c.least = max(c.least, min(c.wide, c.most))
		}
		kept, index = append(kept, c), append(index, i)
	}
	left := func() int {
		n := width - len(kept) + 1 // a blank between two
		for _, c := range kept {
			n -= c.least
		}
		return n
	}
	for left() < 0 && len(kept) > 1 {
		last := 0
		for i := range kept {
			if kept[i].rank > kept[last].rank {
				last = i
			}
		}
		kept, index = slices.Delete(kept, last, last+1), slices.Delete(index, last, last+1)
	}
	for i := range kept { // what is cut gets half of what is left
		kept[i].least += max(min(kept[i].wide-kept[i].least, left()/2), 0)
	}
	if i := slices.IndexFunc(kept, func(c column) bool { return c.stretch }); i >= 0 {
		kept[i].least += max(left(), 0)
	}
	return kept, index
}

// table lays out rows under their titles. Every line has exactly width columns and
// only what can be seen.
func table(columns []column, rows [][]string, width int) []string {
	kept, index := fitted(columns, rows, width)
	line := func(text func(i int) string) string {
		var cells []string
		for i, c := range kept {
			cells = append(cells, fit(text(i), c.least, c.right))
		}
		return fit(strings.Join(cells, " "), width, false)
	}
	out := []string{line(func(i int) string { return kept[i].title })}
	for _, r := range rows {
		out = append(out, line(func(i int) string { return r[index[i]] }))
	}
	return out
}

// bytesOfColumn bounds what stands in one column of the screen: any number of accents
// takes none.
const bytesOfColumn = 16

// fit returns what can be seen of s in exactly width columns of the screen, at the
// left or the right of them: filled with blanks, or cut.
func fit(s string, width int, right bool) string {
	if most := bytesOfColumn * max(width, 0); len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	s = visible(s)
	wide := columnsOf(s)
	if wide > width {
		s, wide = cut(s, width)
	}
	blanks := strings.Repeat(" ", max(width-wide, 0))
	if right {
		return blanks + s
	}
	return s + blanks
}

// cut returns as much of s as fits into width columns, with an ellipsis at its end,
// and how many those are.
func cut(s string, width int) (short string, wide int) {
	if width <= 0 {
		return "", 0
	}
	for i, r := range s {
		w := columnsOf(string(r))
		if wide+w > width-1 {
			return s[:i] + "…", wide + 1
		}
		wide += w
	}
	return s, wide
}

// columnsOf returns how many columns of the screen a text takes that can be seen.
func columnsOf(s string) int { return ansi.StringWidthWc(s) }
