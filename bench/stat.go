package bench

import "slices"

// Figures are one system's values of a row.
type Figures struct {
	Median float64            `json:"median"`
	Min    float64            `json:"min"`
	Max    float64            `json:"max"`
	Ratio  float64            `json:"ratio,omitempty"`  // to direct, of the medians
	PerGB  float64            `json:"per_gb,omitempty"` // processor seconds of the daemon
	Extra  map[string]float64 `json:"extra,omitempty"`  // medians; the worst of failures
}

// figures sums up the turns of a system.
func figures(turns []turn) Figures {
	var values, perGB []float64
	extra := make(map[string][]float64)
	for _, t := range turns {
		values = append(values, t.value)
		if t.bytes > 0 && t.cpu > 0 {
			perGB = append(perGB, t.cpu/(t.bytes/1e9))
		}
		for k, v := range t.extra {
			extra[k] = append(extra[k], v)
		}
	}
	f := Figures{Median: median(values), Min: slices.Min(values), Max: slices.Max(values), PerGB: median(perGB)}
	for k, list := range extra {
		if f.Extra == nil {
			f.Extra = make(map[string]float64)
		}
		if f.Extra[k] = median(list); k == "failed" {
			f.Extra[k] = slices.Max(list)
		}
	}
	return f
}

// median returns the middle of the values, 0 of none.
func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(list))
	return s[len(s)/2]
}
