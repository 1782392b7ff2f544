"""The 26 topic labels of NeMo Curator's domain classifier, each with words that pages about it tend to hold.

The labels are the published ones (nvidia/domain-classifier); the words are ours and serve as zero-shot prototypes.
"""

DOMAIN_WORDS: dict[str, str] = {
    "Adult": "porn xxx nude naked sex sexy pussy dick cock tits anal blowjob milf hardcore webcam escort erotic "
    "fetish orgasm masturbation horny hentai amateur pornstar strip adult videos",
    "Arts_and_Entertainment": "movie film movies actor actress director cinema scene plot character characters "
    "comedy drama theatre music song album band singer concert festival artist gallery painting television show "
    "episode series celebrity entertainment dance opera guitar soundtrack hollywood audience performance",
    "Autos_and_Vehicles": "car cars vehicle vehicles engine horsepower motor truck sedan suv diesel hybrid toyota "
    "ford honda bmw mercedes tyre tires brake brakes dealer mileage transmission motorcycle driving steering wheels "
    "torque garage automotive",
    "Beauty_and_Fitness": "beauty makeup skin hair skincare lipstick cosmetics moisturizer shampoo nail salon "
    "fragrance perfume spa tattoo fitness workout gym exercise yoga muscle abs weight loss body spa facial mascara "
    "foundation trainer squats",
    "Books_and_Literature": "novel book books author chapter story fiction poem poetry poet literary literature "
    "reader readers publisher he she said her his him looked thought replied cried smiled mr mrs miss lady sir heart "
    "eyes face door room hand voice upon thy thou hath king lord scripture bible verse enter exit scene prose",
    "Business_and_Industrial": "business company companies industry industrial manufacturing management customers "
    "suppliers marketing sales strategy ceo enterprise corporate products production factory equipment logistics "
    "shipping construction engineering machinery agriculture farming farmers crop export warehouse employees chemical",
    "Computers_and_Electronics": "software computer code programming function class method install linux ubuntu "
    "windows file files directory command server database python java javascript html css django query api default "
    "configuration debug compile kernel driver package library module version hardware cpu gpu laptop keyboard "
    "screen usb processor memory electronics data algorithm user interface source license redistribute binary "
    "warranties",
    "Finance": "finance bank banking money investment investors stocks shares bonds fund funds loan loans mortgage "
    "credit debt interest rate currency dollar euro trading portfolio dividend equity tax insurance budget inflation "
    "bitcoin financial earnings revenue profit",
    "Food_and_Drink": "recipe recipes ingredients cup cups tablespoon tablespoons teaspoon butter sugar salt pepper "
    "flour eggs cream chicken beef onion garlic sauce cheese oven bake cook cooking minutes stir heat pan bowl dish "
    "serve wine beer coffee tea restaurant delicious chocolate cake bread vegetables olive oil",
    "Games": "game games gaming player players video console playstation xbox nintendo steam level levels boss "
    "quest multiplayer puzzle chess poker casino slots dice cards minecraft pokemon gameplay rpg dungeon score "
    "joystick arcade",
    "Health": "health medical doctor doctors patient patients disease treatment symptoms medicine medicines tablet "
    "tablets dose drug drugs pharmacist side effects blood pressure hospital clinical cancer diabetes pain infection "
    "vaccine therapy surgery pregnancy breast kidney liver allergic pharmacy mental nurse",
    "Hobbies_and_Leisure": "hobby hobbies craft crafts knitting sewing crochet scrapbook collecting stamps coins "
    "model trains photography camera fishing hunting camping hiking outdoors birdwatching woodworking quilting "
    "painting origami antiques paintball drone kite beads yarn",
    "Home_and_Garden": "home garden gardening kitchen bathroom bedroom furniture sofa floor flooring paint walls "
    "decor curtains lighting plumbing roof repair diy tools lawn plants planting soil seeds flowers compost "
    "appliances cleaning vacuum tile shelves",
    "Internet_and_Telecom": "internet website websites web domain hosting seo search google email browser wifi "
    "broadband mobile phone phones smartphone network telecom wireless carrier sim roaming router provider online "
    "page pages links semantic blog analytics cookies bandwidth voip",
    "Jobs_and_Education": "education school schools student students teacher teachers university college course "
    "courses curriculum degree learning classroom exam scholarship homework question answer how many total each "
    "times campus training career job jobs resume employer salary hiring vacancy internship tutor lesson academic",
    "Law_and_Government": "law laws legal court act section subsection paragraph pursuant shall statute code "
    "regulation council mayor district amended licensed attorney judge federal agency agencies government "
    "governmental congress president constitution legislation policy public citizens nation citizen department "
    "states license agreement liability party terms copyright rights permission",
    "News": "news reported reporters police officials minister government said saying spokesman yesterday monday "
    "tuesday wednesday thursday friday week killed attack war election votes president leader opposition party "
    "parliament protests crisis press conference statement accused investigation ministers abc correspondent "
    "headline journalist breaking",
    "Online_Communities": "forum forums thread post posts posted reply replies member members joined username "
    "moderator chat irc channel lol hi hello hey thanks anyone ok yeah yes user users profile friends followers "
    "comment comments blog facebook twitter reddit discord emoji pm log",
    "People_and_Society": "people society family families marriage wedding children parents mother father women men "
    "gender relationship relationships religion religious church god jesus faith prayer pray holy spirit christian "
    "muslim islam jewish lord israel community culture ethnic social psychology behavior history tradition "
    "charity genealogy sexual equality elderly",
    "Pets_and_Animals": "dog dogs cat cats pet pets puppy puppies kitten kittens breed breeds animal animals "
    "veterinarian vet horse horses bird birds fish aquarium rabbit hamster leash rescue shelter wildlife species "
    "grooming terrier retriever feline canine",
    "Real_Estate": "real estate property properties house houses apartment apartments condo rent rental tenant "
    "tenants landlord lease bedroom bedrooms bathroom square feet realtor listing listings mls broker mortgage "
    "buyer seller homes sale neighborhood",
    "Science": "science scientific scientists research researchers study theory theorem lemma proof prove let "
    "suppose morphism scheme sheaf ring module category functor equation mathematics algebra geometry physics "
    "chemistry biology species cells brain neurons dna gene evolution climate ocean planet space universe energy "
    "quantum experiment hypothesis data analysis temperature molecules",
    "Sensitive_Subjects": "suicide murder killing torture rape abuse assault violence violent terrorism terrorist "
    "massacre genocide shooting bomb hate racist racism slur nazi drugs heroin cocaine overdose victim victims "
    "corpse gore self harm extremist execution",
    "Shopping": "buy shop shopping price prices cart checkout order orders shipping delivery returns refund sale "
    "discount coupon offer deals store brand stock size color colour quantity add wishlist gift gifts product "
    "products item items review reviews bought amazon ebay retailer customer clothes shoes dress jewelry bag battery",
    "Sports": "sports sport team teams player players coach season league match goal goals score scored win wins "
    "championship football soccer basketball baseball hockey tennis golf cricket rugby olympic race racing nfl nba "
    "mlb uefa tournament stadium defeat striker quarterback innings medal",
    "Travel_and_Transportation": "travel trip flight flights airline airport hotel hotels booking book reservation "
    "check in destination destinations tour tours tourist tourism vacation holiday beach resort cruise train bus "
    "station ticket tickets passport visa luggage city visit museum island itinerary departure return hostel ride",
}
