"""What spaCy 3.8.18 (MIT licence) cuts of English without punctuation: made by benchmarks/datatrove_words.py.

Of its tokenizer's rules those that apply to what datatrove's `simplify_text` leaves; code points as hexadecimal ranges.
"""

# words with where they are cut
APART = (
    "Ai-nt Are-nt Can-not Ca-nt Ca-nt-ve Could-nt Could-nt-ve Could-ve Dare-nt Did-nt Did-nt-ve Does-nt Does-nt-ve Do-nt "
    "Do-nt-ve Gon-na Got-ta Had-nt Had-nt-ve Has-nt Have-nt He-d He-d-ve He-ll-ve He-s How-d How-d-ve How-ll How-ll-ve How-re "
    "How-s How-ve I-d I-d-ve I-ll-ve I-m I-m-a Is-nt It-d It-d-ve It-ll It-ll-ve I-ve May-nt May-nt-ve Might-nt Might-nt-ve "
    "Might-ve Must-nt Must-nt-ve Must-ve Need-nt Need-nt-ve Not-ve Ought-nt Ought-nt-ve Sha-nt Sha-nt-ve She-d-ve She-ll-ve "
    "She-s Should-nt Should-nt-ve Should-ve That-d That-d-ve That-ll That-ll-ve That-s There-d There-d-ve There-ll There-ll-ve "
    "There-re There-s There-ve These-d These-d-ve These-ll These-ll-ve These-re These-ve They-d They-d-ve They-ll They-ll-ve "
    "They-re They-ve This-d This-d-ve This-ll This-ll-ve This-s Those-d Those-d-ve Those-ll Those-ll-ve Those-re Those-ve Was-nt "
    "We-d We-d-ve We-ll-ve Were-nt We-ve What-d What-d-ve What-ll What-ll-ve What-re What-s What-ve When-d When-d-ve When-ll "
    "When-ll-ve When-re When-s When-ve Where-d Where-d-ve Where-ll Where-ll-ve Where-re Where-s Where-ve Who-d Who-d-ve Who-ll "
    "Who-ll-ve Who-s Who-ve Why-d Why-d-ve Why-ll Why-ll-ve Why-re Why-s Why-ve Wo-nt Wo-nt-ve Would-nt Would-nt-ve Would-ve "
    "You-d You-d-ve You-ll You-ll-ve You-re You-ve ai-nt are-nt can-not ca-nt ca-nt-ve could-nt could-nt-ve could-ve dare-nt "
    "did-nt did-nt-ve does-nt does-nt-ve do-nt do-nt-ve gon-na got-ta had-nt had-nt-ve has-nt have-nt he-d he-d-ve he-ll-ve he-s "
    "how-d how-d-ve how-ll how-ll-ve how-re how-s how-ve i-d i-d-ve i-ll-ve i-m i-m-a is-nt it-d it-d-ve it-ll it-ll-ve i-ve "
    "may-nt may-nt-ve might-nt might-nt-ve might-ve must-nt must-nt-ve must-ve need-nt need-nt-ve not-ve ought-nt ought-nt-ve "
    "sha-nt sha-nt-ve she-d-ve she-ll-ve she-s should-nt should-nt-ve should-ve that-d that-d-ve that-ll that-ll-ve that-s "
    "there-d there-d-ve there-ll there-ll-ve there-re there-s there-ve these-d these-d-ve these-ll these-ll-ve these-re these-ve "
    "they-d they-d-ve they-ll they-ll-ve they-re they-ve this-d this-d-ve this-ll this-ll-ve this-s those-d those-d-ve those-ll "
    "those-ll-ve those-re those-ve was-nt we-d we-d-ve we-ll-ve were-nt we-ve what-d what-d-ve what-ll what-ll-ve what-re what-s "
    "what-ve when-d when-d-ve when-ll when-ll-ve when-re when-s when-ve where-d where-d-ve where-ll where-ll-ve where-re where-s "
    "where-ve who-d who-d-ve who-ll who-ll-ve who-s who-ve why-d why-d-ve why-ll why-ll-ve why-re why-s why-ve wo-nt wo-nt-ve "
    "would-nt would-nt-ve would-ve y-all you-d you-d-ve you-ll you-ll-ve you-re you-ve "
)
# words that stay whole though they begin with a symbol
WHOLE = (
    ";D =D ‘S ‘s "
)
# units, cut off where they stand behind a 0
UNITS = (
    "G GB K KB M MB Pa T TB cm cm² cm³ dm dm² dm³ ft g gb hPa ha in kb kg km kmh km² km³ lb m mb mbar mg mm mm² mm³ mph m² m³ nm "
    "oz t tb yd µg µm ГБ Гб КБ Кб МБ Мб Па ТБ Тб г гб дм дм² дм³ кПа кб кг км км² км³ м м² м³ мб мбар мг мм мм² мм³ нм см см² "
    "см³ тбكم اكواب جرام جم سم سم² سم³ غرام كغ كم كم² كم³ كوب م م² م³ ملغ مم مم² مم³ "
)
# symbols that go from the front of a word
OPENS = (
    "3b-3e 60 a1 a3 a5-a7 a9 ae b0 b4 b7 bf 482 58d-58e 60c 60e-60f 61b 61f 66a 6d4 6de 6e9 6fd-6fe 7f6 964 9fa b70 bf3-bf8 bfa "
    "c7f d4f d79 e3f f01-f03 f13 f15-f17 f1a-f1f f34 f36 f38 fbe-fc5 fc7-fcc fce-fcf fd5-fd8 109e-109f 1390-1399 1940 19de-19ff "
    "1b61-1b6a 1b74-1b7c 2018 201a 20a0-20bf 2100-2101 2103-2106 2108-2109 2114 2116-2117 211e-2123 2125 2127 2129 212e "
    "213a-213b 214a 214c-214d 214f 218a-218b 2195-2199 219c-219f 21a1-21a2 21a4-21a5 21a7-21ad 21af-21cc 21d0-21d1 21d3 "
    "21d5-21f3 2300-2307 230c-231f 2322-2328 232b-237b 237d-239a 23b4-23db 23e2-2426 2440-244a 249c-24e9 2500 2502-25b6 "
    "25b8-25b9 25bb-25c0 25c2-25f7 2600-266e 2670-2767 2794-27bf 27e6-27e7 2800-28ff 2b00-2b2f 2b45-2b46 2b4d-2b73 2b76-2b95 "
    "2b98-2bc8 2bca-2bfe 2ce5-2cea 2e80-2e99 2e9b-2ef3 2f00-2fd5 2ff0-2ffb 3004 3008-3009 300e-300f 3012-3015 3020 3036-3037 "
    "303e-303f 3190-3191 3196-319f 31c0-31e3 3200-321e 322a-3247 3250 3260-327f 328a-32b0 32c0-32fe 3300-33ff 4dc0-4dff "
    "a490-a4c6 a828-a82b a836-a837 a839 aa77-aa79 fdfc-fdfd ffe4 ffe8 ffed-ffee fffc-fffd 10137-1013f 10179-10189 1018c-1018e "
    "10190-1019b 101a0 101d0-101fc 10877-10878 10ac8 1173f 16b3c-16b3f 16b45 1bc9c 1d000-1d0f5 1d100-1d126 1d129-1d15d "
    "1d16a-1d16c 1d183-1d184 1d18c-1d1a9 1d1ae-1d1ba 1d1c1-1d1e8 1d200-1d241 1d245 1d300-1d356 1d800-1d9ff 1da37-1da3a "
    "1da6d-1da74 1da76-1da83 1da85-1da86 1ecac 1f000-1f02b 1f030-1f093 1f0a0-1f0ae 1f0b1-1f0bf 1f0c1-1f0cf 1f0d1-1f0f5 "
    "1f110-1f16b 1f170-1f1ac 1f1e6-1f202 1f210-1f23b 1f240-1f248 1f250-1f251 1f260-1f265 1f300-1f3fa 1f400-1f6d4 1f6e0-1f6ec "
    "1f6f0-1f6f9 1f700-1f773 1f780-1f7d8 1f800-1f80b 1f810-1f847 1f850-1f859 1f860-1f887 1f890-1f8ad 1f900-1f90b 1f910-1f93e "
    "1f940-1f970 1f973-1f976 1f97a 1f97c-1f9a2 1f9b0-1f9b9 1f9c0-1f9c2 1f9d0-1f9ff 1fa60-1fa6d "
)
# symbols that go from its end
CLOSES = (
    "3b-3c 3e 60 a1 a6 a9 ae b0 b4 b7 bf 482 58d-58e 60c 60e-60f 61b 61f 66a 6d4 6de 6e9 6fd-6fe 7f6 964 9fa b70 bf3-bf8 bfa c7f "
    "d4f d79 f01-f03 f13 f15-f17 f1a-f1f f34 f36 f38 fbe-fc5 fc7-fcc fce-fcf fd5-fd8 109e-109f 1390-1399 1940 19de-19ff "
    "1b61-1b6a 1b74-1b7c 2018 201a 2100-2101 2103-2106 2108-2109 2114 2116-2117 211e-2123 2125 2127 2129 212e 213a-213b 214a "
    "214c-214d 214f 218a-218b 2195-2199 219c-219f 21a1-21a2 21a4-21a5 21a7-21ad 21af-21cc 21d0-21d1 21d3 21d5-21f3 2300-2307 "
    "230c-231f 2322-2328 232b-237b 237d-239a 23b4-23db 23e2-2426 2440-244a 249c-24e9 2500 2502-25b6 25b8-25b9 25bb-25c0 "
    "25c2-25f7 2600-266e 2670-2767 2794-27bf 27e6-27e7 2800-28ff 2b00-2b2f 2b45-2b46 2b4d-2b73 2b76-2b95 2b98-2bc8 2bca-2bfe "
    "2ce5-2cea 2e80-2e99 2e9b-2ef3 2f00-2fd5 2ff0-2ffb 3004 3008-3009 300e-300f 3012-3015 3020 3036-3037 303e-303f 3190-3191 "
    "3196-319f 31c0-31e3 3200-321e 322a-3247 3250 3260-327f 328a-32b0 32c0-32fe 3300-33ff 4dc0-4dff a490-a4c6 a828-a82b "
    "a836-a837 a839 aa77-aa79 fdfd ffe4 ffe8 ffed-ffee fffc-fffd 10137-1013f 10179-10189 1018c-1018e 10190-1019b 101a0 "
    "101d0-101fc 10877-10878 10ac8 1173f 16b3c-16b3f 16b45 1bc9c 1d000-1d0f5 1d100-1d126 1d129-1d15d 1d16a-1d16c 1d183-1d184 "
    "1d18c-1d1a9 1d1ae-1d1ba 1d1c1-1d1e8 1d200-1d241 1d245 1d300-1d356 1d800-1d9ff 1da37-1da3a 1da6d-1da74 1da76-1da83 "
    "1da85-1da86 1ecac 1f000-1f02b 1f030-1f093 1f0a0-1f0ae 1f0b1-1f0bf 1f0c1-1f0cf 1f0d1-1f0f5 1f110-1f16b 1f170-1f1ac "
    "1f1e6-1f202 1f210-1f23b 1f240-1f248 1f250-1f251 1f260-1f265 1f300-1f3fa 1f400-1f6d4 1f6e0-1f6ec 1f6f0-1f6f9 1f700-1f773 "
    "1f780-1f7d8 1f800-1f80b 1f810-1f847 1f850-1f859 1f860-1f887 1f890-1f8ad 1f900-1f90b 1f910-1f93e 1f940-1f970 1f973-1f976 "
    "1f97a 1f97c-1f9a2 1f9b0-1f9b9 1f9c0-1f9c2 1f9d0-1f9ff 1fa60-1fa6d "
)
# these only behind a 0
MONEY = (
    "a3 a5 e3f 20a0-20bf fdfc "
)
# symbols within a word, each a word of its own
PARTS = (
    "a6 a9 ae b0 482 58d-58e 60e-60f 6de 6e9 6fd-6fe 7f6 9fa b70 bf3-bf8 bfa c7f d4f d79 f01-f03 f13 f15-f17 f1a-f1f f34 f36 f38 "
    "fbe-fc5 fc7-fcc fce-fcf fd5-fd8 109e-109f 1390-1399 1940 19de-19ff 1b61-1b6a 1b74-1b7c 2100-2101 2103-2106 2108-2109 2114 "
    "2116-2117 211e-2123 2125 2127 2129 212e 213a-213b 214a 214c-214d 214f 218a-218b 2195-2199 219c-219f 21a1-21a2 21a4-21a5 "
    "21a7-21ad 21af-21cc 21d0-21d1 21d3 21d5-21f3 2300-2307 230c-231f 2322-2328 232b-237b 237d-239a 23b4-23db 23e2-2426 "
    "2440-244a 249c-24e9 2500 2502-25b6 25b8-25b9 25bb-25c0 25c2-25f7 2600-266e 2670-2767 2794-27bf 2800-28ff 2b00-2b2f "
    "2b45-2b46 2b4d-2b73 2b76-2b95 2b98-2bc8 2bca-2bfe 2ce5-2cea 2e80-2e99 2e9b-2ef3 2f00-2fd5 2ff0-2ffb 3004 3012-3013 3020 "
    "3036-3037 303e-303f 3190-3191 3196-319f 31c0-31e3 3200-321e 322a-3247 3250 3260-327f 328a-32b0 32c0-32fe 3300-33ff "
    "4dc0-4dff a490-a4c6 a828-a82b a836-a837 a839 aa77-aa79 fdfd ffe4 ffe8 ffed-ffee fffc-fffd 10137-1013f 10179-10189 "
    "1018c-1018e 10190-1019b 101a0 101d0-101fc 10877-10878 10ac8 1173f 16b3c-16b3f 16b45 1bc9c 1d000-1d0f5 1d100-1d126 "
    "1d129-1d15d 1d16a-1d16c 1d183-1d184 1d18c-1d1a9 1d1ae-1d1ba 1d1c1-1d1e8 1d200-1d241 1d245 1d300-1d356 1d800-1d9ff "
    "1da37-1da3a 1da6d-1da74 1da76-1da83 1da85-1da86 1ecac 1f000-1f02b 1f030-1f093 1f0a0-1f0ae 1f0b1-1f0bf 1f0c1-1f0cf "
    "1f0d1-1f0f5 1f110-1f16b 1f170-1f1ac 1f1e6-1f202 1f210-1f23b 1f240-1f248 1f250-1f251 1f260-1f265 1f300-1f3fa 1f400-1f6d4 "
    "1f6e0-1f6ec 1f6f0-1f6f9 1f700-1f773 1f780-1f7d8 1f800-1f80b 1f810-1f847 1f850-1f859 1f860-1f887 1f890-1f8ad 1f900-1f90b "
    "1f910-1f93e 1f940-1f970 1f973-1f976 1f97a 1f97c-1f9a2 1f9b0-1f9b9 1f9c0-1f9c2 1f9d0-1f9ff 1fa60-1fa6d "
)
# these only between letters
JOINS = (
    "3c-3e "
)
# what counts as a letter there
LETTERS = (
    "41-5a 61-7a c6 d0 d8 de-df e6 f0 f8 fe 110-111 126-127 131-133 138 13f-142 149-14b 152-153 166-167 17f-19f 1a2-1ae 1b1-1bf "
    "1c4-1cc 1dd 1e4-1e5 1f1-1f3 1f6-1f7 21c-21d 220-225 234-2af 391-3a9 3b1-3c9 404-406 408-40a 410-418 41a-438 43a-44f 454-456 "
    "458-45a 490-491 496-497 4a2-4a3 4ae-4af 4ba-4bb 4d8-4d9 4e8-4e9 5be 5c0 5c3 5c6 5c8-5f4 620-621 627-64a 66e-66f 671-6bf 6c1 "
    "6c3-6d2 6d4-6d5 6e5-6e6 6e9 6ee-6ef 6fa-6ff 750-77f 8a0-8bd 903-928 92a-930 932-933 935-939 93b 93d-940 949-94c 94e-950 "
    "960-961 964-965 970-980 982-9bb 9bd-9c0 9c5-9ca 9ce-9db 9de 9e0-9e1 9e4-9e5 9f0-9fd 9ff b80-b81 b83-b93 b95-bbf bc1-bc9 "
    "bce-be5 bf0-bff c01-c03 c05-c3b c3d c41-c45 c49 c4e-c54 c57-c61 c64-c65 c70-c80 c82-cbb cbd-cbe cc1-cc5 cc9 cce-ce1 ce4-ce5 "
    "cf0-cff d80 d82-dc9 dcb-dd1 dd5 dd7-dd9 ddb ddf-de5 df0-dff 1100-135c 1360-137f 1d00-1d25 1d6b-1d77 1d79-1d9a 1e9a "
    "1e9c-1e9f 1efa-1eff 2c60-2c7b 2c7e-2c7f 2e80-2fdf 2ff0-2fff 3003-3009 300e-300f 3012-3029 302e-304b 304d 304f 3051 3053 "
    "3055 3057 3059 305b 305d 305f 3061 3063-3064 3066 3068 306a-306f 3072 3075 3078 307b 307e-3093 3095-3098 309b-309d "
    "309f-30ab 30ad 30af 30b1 30b3 30b5 30b7 30b9 30bb 30bd 30bf 30c1 30c3-30c4 30c6 30c8 30ca-30cf 30d2 30d5 30d8 30db "
    "30de-30f3 30f5-30f6 30fb-30fd 30ff 31c0-31ef 3200-4dbf 4e00-9fff a722-a76f a771-a787 a78b-a78e a790-a7b9 a7fa ab30-ab5a "
    "ab60-ab64 d7a4-d7af fa0e-fa0f fa11 fa13-fa14 fa1f fa21 fa23-fa24 fa27-fa29 fa6e-fa6f fada-faff fb20-fb29 fb37 fb3d fb3f "
    "fb42 fb45 fb4f-fbb1 fbd3-fd3d fd50-fdc7 fdf0-fdfb fe30-fe4f fe70-fefc ff21-ff3a ff41-ff5a 1ee00-1eebb 1f200-1f2ff "
    "20000-2a6df 2a700-2ebef 2fa1e-2fa1f "
)
