package scenario_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"mifvif/lab/labtest"
	"mifvif/lab/scenario"

	"github.com/google/go-cmp/cmp"
)

func TestSelect(t *testing.T) {
	chosen, err := scenario.Select("5.3-A", "3.2-1")
	if err != nil || len(chosen) != 2 || chosen[0].ID != "5.3-A" || chosen[1].ID != "3.2-1" {
		t.Errorf("got %v, %v", chosen, err)
	}
	if _, err := scenario.Select("9.9-9"); err == nil {
		t.Error("an unknown id was taken")
	}
	seen := map[string]bool{}
	for _, s := range scenario.All() {
		if seen[s.ID] || s.ID == "" || s.Title == "" || s.Run == nil {
			t.Errorf("scenario %q is double or incomplete", s.ID)
		}
		seen[s.ID] = true
		if strings.Contains(s.Title, "kernel too") && !strings.HasSuffix(s.Title, "(the kernel too)") {
			t.Errorf("%s: the title %q must end in \"(the kernel too)\" and nothing else", s.ID, s.Title)
		}
	}
}

func TestScoreHasTheContractsKeys(t *testing.T) {
	labtest.Need(t)
	player := scenario.Player{System: scenario.Kernel}
	good := scenario.Scenario{ID: "good", Title: "works", Run: func(context.Context, *scenario.Env) error { return nil }}
	bad := scenario.Scenario{ID: "bad", Title: "fails", Run: func(context.Context, *scenario.Env) error { return errors.New("why") }}
	report, err := player.Run(t.Context(), []scenario.Scenario{good, bad}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for _, s := range got["scenarios"].([]any) {
		delete(s.(map[string]any), "seconds")
	}
	want := map[string]any{
		"system": "kernel", "passed": 1.0, "failed": 1.0,
		"scenarios": []any{
			map[string]any{"id": "good", "title": "works", "result": "passed", "detail": ""},
			map[string]any{"id": "bad", "title": "fails", "result": "failed", "detail": "why"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
