package dsl

import (
	"strings"
	"unicode/utf8"
)

// Suggest returns the one of the candidates that word was most likely meant to
// be: the nearest by Damerau-Levenshtein distance (insert, delete, replace,
// swap two neighbours), at most 2 away. Short words have everything near them:
// up to four letters only one may differ, and a single letter means only the
// same letter in the other case. The first candidate wins a tie. It returns ""
// if there is none, or if word is itself a candidate.
func Suggest(word string, candidates []string) string {
	best, bestDist := "", 3
	for _, c := range candidates {
		if c == word {
			return ""
		}
		limit := 2
		if max(utf8.RuneCountInString(word), utf8.RuneCountInString(c)) <= 4 {
			limit = 1
		}
		if utf8.RuneCountInString(word) <= 1 && !strings.EqualFold(word, c) {
			continue
		}
		if d := editDistance(word, c); d <= limit && d < bestDist {
			best, bestDist = c, d
		}
	}
	return best
}

// editDistance is the Damerau-Levenshtein distance in its "optimal string
// alignment" form: no piece is edited twice.
func editDistance(a, b string) int {
	s, t := []rune(a), []rune(b)
	if diff := len(s) - len(t); diff > 2 || diff < -2 {
		return max(diff, -diff) // far enough: nobody asks for more than 2
	}
	rows := make([][]int, len(s)+1)
	for i := range rows {
		rows[i] = make([]int, len(t)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(s); i++ {
		for j := 1; j <= len(t); j++ {
			change := 1
			if s[i-1] == t[j-1] {
				change = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(s)][len(t)]
}
