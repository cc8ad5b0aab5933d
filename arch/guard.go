package arch

import (
	"fmt"
	"slices"
	"strings"

	"github.com/smelt-project/smelt/tensor"
)

// guard refuses settings with which the model is of another architecture.
func (m *Match) guard(all []group) error {
	var refused []string
	for _, rule := range m.conv.Guards {
		stated := false
		for _, g := range all {
			for _, pattern := range rule.Keys {
				key, ok := g.has(pattern)
				stated = stated || ok
				value, _ := g.get(key)
				if ok && !slices.Contains(rule.Allow, asText(value)) {
					refused = append(refused, fmt.Sprintf("%s = %s: %s", g.name(key), brief(value), rule.reason()))
				}
			}
		}
		if rule.Required && !stated && !m.asserted {
			refused = append(refused, fmt.Sprintf("%s is not stated: %s; give the model's configuration with --config, or --arch %s if it is one",
				strings.Join(rule.Keys, " or "), rule.reason(), m.Spec.Name))
		}
	}
	slices.Sort(refused)
	if refused = slices.Compact(refused); len(refused) == 0 {
		return nil
	}
	return fmt.Errorf("%s; --arch generic keeps names and shapes: %w", strings.Join(refused, "; "), tensor.ErrUnsupported)
}

func (g *Guard) reason() string {
	if len(g.Allow) == 0 {
		return g.Why
	}
	return "only " + strings.Join(g.Allow, ", ") + " can be converted; " + g.Why
}
