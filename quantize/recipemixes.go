package quantize

import "github.com/smelt-project/smelt/tensor"

// Reasons that several rules share.
const (
	whyOutput     = "the output matrix decides every token: more bits"
	whyOutputRow  = "its rows are not whole blocks of the recipe's type, and it decides every token: 8 bits"
	whyEmbedding  = "embeddings are looked up, not averaged over a sum: more bits than the rest of a very small recipe"
	whyValue      = "errors in attention values go straight into the residual stream: more bits"
	whyShared     = "values are shared by several heads: more bits for a small matrix"
	whyFewExperts = "with eight experts attention is a small part of the file: more bits"
	whySpread     = "more bits in the first and last layers and every third between"
	whyFirst      = "the first layers feed all others: more bits"
	whyDown       = "the projection back into the residual stream: more bits"
	whyAttnOut    = "the attention's way into the residual stream: more bits"
	whyLeast      = "queries and keys bear coarser rounding than values: fewer bits"
	whyMiddle     = "the middle layers bear coarser rounding: fewer bits"
	whyNoMatrix   = "without an importance matrix the first layers need more bits"
)

// on is one rule that needs no pattern.
func on(role Role, d tensor.DType, why string, when ...Condition) Rule {
	return Rule{Role: role, DType: d, Why: why, When: when}
}

// rules joins lists of rules; the earlier ones come first.
func rules(lists ...[]Rule) []Rule {
	var all []Rule
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// outputAs are the rules of the output matrix; d is its type in most models.
func outputAs(d tensor.DType) []Rule {
	return []Rule{
		on(RoleOutput, tensor.Q8_0, "llama.cpp keeps falcon's output matrix in 8 bits", Falcon),
		on(RoleOutput, tensor.Q8_0, whyOutputRow, Undivided),
		on(RoleOutput, d, whyOutput),
	}
}

var (
	output6 = outputAs(tensor.Q6K)
	output5 = outputAs(tensor.Q5K)

	// eightExperts are for the attention of models as Mixtral.
	eightExperts = []Rule{
		on(RoleValue, tensor.Q8_0, whyFewExperts, EightExperts),
		on(RoleKey, tensor.Q8_0, whyFewExperts, EightExperts),
	}
	eightExpertsOutput = []Rule{on(RoleAttentionOutput, tensor.Q5K, whyFewExperts, EightExperts, NotFalcon)}
	// plain are the rules that all recipes of one type have.
	plain = rules(output6, eightExperts)
)

func embeddingAs(d tensor.DType) []Rule { return []Rule{on(RoleTokenEmbedding, d, whyEmbedding)} }

// smallest are the rules of recipes below three bits; d is the type of what
// needs more bits.
func smallest(embedding, d tensor.DType, attention ...Rule) []Rule {
	return rules(output5, embeddingAs(embedding), []Rule{
		on(RoleValue, tensor.Q4K, whyShared, SharedValues),
		on(RoleValue, tensor.Q4K, whyFewExperts, ManyExperts),
		on(RoleValue, d, whyValue),
		on(RoleKey, tensor.Q4K, whyFewExperts, EightExperts),
		on(RoleDown, d, whyFirst, FirstEighthSeen),
		on(RoleAttentionOutput, tensor.Q5K, whyFewExperts, EightExperts),
	}, attention)
}

// sharedValues give values more bits if heads share them, one step more in
// models as Llama 70B.
var sharedValues = []Rule{
	on(RoleValue, tensor.Q5K, whyShared, SharedValues, Class70B),
	on(RoleValue, tensor.Q4K, whyShared, SharedValues),
}

// mixes are the recipes of llama-quantize that quantize, as rules. Their
// choices are those of llama.cpp src/llama-quant.cpp@3f545becc,
// llama_tensor_get_type_impl and llama_ftype_get_default_type.
var mixes = []Recipe{
	{Name: "Q4_0", FileType: 2, Default: tensor.Q4_0, Rules: rules(plain, []Rule{
		on(RoleDown, tensor.Q4_1, "an importance matrix can lead Q4_0 astray in the first layers", WithImportance, FirstEighth),
	})},
	{Name: "Q4_1", FileType: 3, Default: tensor.Q4_1, Rules: plain},
	{Name: "Q5_0", FileType: 8, Default: tensor.Q5_0, Rules: rules(plain, []Rule{
		on(RoleDown, tensor.Q5_1, "an importance matrix can lead Q5_0 astray in the first layers", WithImportance, FirstEighth),
	})},
	{Name: "Q5_1", FileType: 9, Default: tensor.Q5_1, Rules: plain},
	{Name: "Q8_0", FileType: 7, Default: tensor.Q8_0},

	{Name: "Q2_K", FileType: 10, Default: tensor.Q2K, Rules: rules(plain, []Rule{
		on(RoleValue, tensor.Q5K, whyShared, Class70B),
		on(RoleValue, tensor.Q4K, whyShared, SharedValues),
		on(RoleValue, tensor.Q3K, whyValue),
		on(RoleDown, tensor.Q3K, whyDown),
	}, eightExpertsOutput, []Rule{
		on(RoleAttentionOutput, tensor.Q3K, whyAttnOut, NotFalcon),
	})},
	{Name: "Q2_K_S", FileType: 21, Default: tensor.Q2K, NeedsImportance: []tensor.DType{tensor.Q2K}, Rules: rules(plain, sharedValues, []Rule{
		on(RoleDown, tensor.Q4K, whyFirst, FirstEighth),
	})},
	{Name: "Q3_K_S", FileType: 11, Default: tensor.Q3K, Rules: rules(plain, []Rule{
		on(RoleValue, tensor.Q5K, whyShared, Class70B),
	}, eightExpertsOutput)},
	{Name: "Q3_K_M", FileType: 12, Default: tensor.Q3K, Rules: rules(plain, []Rule{
		on(RoleValue, tensor.Q5K, whyFirst, FirstTwo),
		on(RoleValue, tensor.Q5K, whyShared, Class70B),
		on(RoleValue, tensor.Q4K, whyValue),
		on(RoleDown, tensor.Q5K, whyFirst, FirstSixteenth),
		on(RoleDown, tensor.Q4K, whyDown, NotFalcon),
		on(RoleDown, tensor.Q4K, whySpread, Spread),
	}, eightExpertsOutput, []Rule{
		on(RoleAttentionOutput, tensor.Q4K, whyAttnOut, NotFalcon),
	})},
	{Name: "Q3_K_L", FileType: 13, Default: tensor.Q3K, Rules: rules(plain, []Rule{
		on(RoleValue, tensor.Q5K, whyValue),
		on(RoleDown, tensor.Q4K, whyDown, Falcon),
		on(RoleDown, tensor.Q5K, whyDown),
		on(RoleAttentionOutput, tensor.Q4K, whyAttnOut, Falcon),
		on(RoleAttentionOutput, tensor.Q5K, whyAttnOut, Not8Experts),
	})},
	{Name: "Q4_K_S", FileType: 14, Default: tensor.Q4K, Rules: rules(plain, []Rule{
		on(RoleValue, tensor.Q5K, whyFirst, FirstFour),
		on(RoleValue, tensor.Q5K, whyShared, Class70B),
		on(RoleDown, tensor.Q5K, whyFirst, FirstEighth, NotFalcon),
	}, eightExpertsOutput)},
	{Name: "Q4_K_M", FileType: 15, Default: tensor.Q4K, Rules: rules(plain, []Rule{
		on(RoleValue, tensor.Q6K, whySpread, Spread),
		on(RoleValue, tensor.Q5K, whyShared, Class70B),
		on(RoleDown, tensor.Q6K, whyFirst, Falcon, FirstSixteenth),
		on(RoleDown, tensor.Q5K, whySpread, Falcon, Spread),
		on(RoleDown, tensor.Q6K, whySpread, NotFalcon, Spread),
	}, eightExpertsOutput)},
	{Name: "Q5_K_S", FileType: 16, Default: tensor.Q5K, Rules: plain},
	{Name: "Q5_K_M", FileType: 17, Default: tensor.Q5K, Rules: rules(plain, []Rule{
		on(RoleValue|RoleDown, tensor.Q6K, whySpread, Spread),
	})},
	{Name: "Q6_K", FileType: 18, Default: tensor.Q6K, Rules: plain},

	{Name: "IQ1_S", FileType: 24, Default: tensor.IQ1S, Rules: smallest(tensor.Q2K, tensor.Q2K, on(RoleAttentionOutput, tensor.IQ2XXS, whyAttnOut))},
	{Name: "IQ1_M", FileType: 31, Default: tensor.IQ1M, Rules: smallest(tensor.Q2K, tensor.Q2K, on(RoleAttentionOutput, tensor.IQ2XXS, whyAttnOut))},
	{Name: "IQ2_XXS", FileType: 19, Default: tensor.IQ2XXS, Rules: smallest(tensor.Q2K, tensor.Q2K)},
	{Name: "IQ2_XS", FileType: 20, Default: tensor.IQ2XS, Rules: smallest(tensor.Q2K, tensor.Q2K)},
	{Name: "IQ2_S", FileType: 28, Default: tensor.IQ2XS, Rules: smallest(tensor.IQ3S, tensor.IQ3S, on(RoleAttentionOutput, tensor.IQ3S, whyAttnOut))},
	{Name: "IQ2_M", FileType: 29, Default: tensor.IQ2S, Rules: smallest(tensor.IQ3S, tensor.IQ3S, on(RoleAttentionOutput, tensor.IQ3S, whyAttnOut))},

	{Name: "IQ3_XXS", FileType: 23, Default: tensor.IQ3XXS, Rules: rules(output5, embeddingAs(tensor.IQ3S), eightExperts, sharedValues, []Rule{
		on(RoleValue, tensor.IQ3S, whyNoMatrix, NoImportance),
		on(RoleKey|RoleQuery, tensor.IQ2S, whyLeast),
		on(RoleDown, tensor.Q4K, whyNoMatrix, NoImportance, FirstEighth),
		on(RoleDown, tensor.Q3K, whyDown, NoImportance),
	}, eightExpertsOutput, []Rule{
		on(RoleAttentionOutput, tensor.IQ3S, whyAttnOut, NotFalcon),
	})},
	{Name: "IQ3_XS", FileType: 22, Default: tensor.IQ3S, Rules: rules(plain, sharedValues, []Rule{
		on(RoleKey|RoleQuery, tensor.IQ3XXS, whyLeast),
	}, eightExpertsOutput, []Rule{
		on(RoleGate|RoleUp, tensor.IQ3XXS, whyMiddle, Middle),
	})},
	{Name: "IQ3_S", FileType: 26, Default: tensor.IQ3S, Rules: rules(plain, sharedValues, eightExpertsOutput)},
	{Name: "IQ3_M", FileType: 27, Default: tensor.IQ3S, Rules: rules(plain, []Rule{
		on(RoleValue, tensor.Q5K, whyShared, Class70B),
		on(RoleValue, tensor.Q4K, whyValue),
		on(RoleDown, tensor.Q4K, whyFirst, FirstEighth),
		on(RoleDown, tensor.Q4K, whySpread, EightExperts, Spread),
	}, eightExpertsOutput, []Rule{
		on(RoleAttentionOutput, tensor.Q4K, whyAttnOut, NotFalcon),
	})},
	{Name: "IQ4_NL", FileType: 25, Default: tensor.IQ4NL, Rules: fourBit},
	{Name: "IQ4_XS", FileType: 30, Default: tensor.IQ4XS, Rules: fourBit},

	{Name: "TQ1_0", FileType: 36, Default: tensor.TQ1_0, Rules: rules(output6, embeddingAs(tensor.Q4K), eightExperts)},
	{Name: "TQ2_0", FileType: 37, Default: tensor.TQ2_0, Rules: rules(output6, embeddingAs(tensor.Q4K), eightExperts)},
	{Name: "MXFP4_MOE", FileType: 38, Default: tensor.MXFP4, Rules: []Rule{
		on(RoleOutput, tensor.Q8_0, whyOutput),
		on(roleFeedForward, tensor.MXFP4, "experts are most of the file", Stacked),
		on(0, tensor.MXFP4, "stacked matrices are most of the file", Stacked, NotBailingMoE3),
		on(0, tensor.Q8_0, "all but the experts is a small part of the file: 8 bits"),
	}},
	{Name: "Q1_0", FileType: 40, Default: tensor.Q1_0, Rules: plain},
	{Name: "Q2_0", FileType: 41, Default: tensor.Q2_0, Rules: rules(output6, embeddingAs(tensor.Q4K), eightExperts)},
}

var fourBit = rules(plain, []Rule{
	on(RoleValue, tensor.Q5K, whyShared, SharedValues),
	on(RoleDown, tensor.Q5K, whyNoMatrix, NoImportance, FirstEighth),
}, eightExpertsOutput)
