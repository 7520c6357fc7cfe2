// One synapse of all neurons: its currents, the weights onto it, and a walker with counts of its own.
`default_nettype none
module lif_lane #(
    parameter N = 6, N_IN = 2, N_HID = 4, N_OUT = 2, HAS_OUT = 1,
    parameter IN_REACH = 4, OUT_REACH = 4,
    parameter IN_LAYOUT = 0, REC_LAYOUT = 1, OUT_LAYOUT = 0,
    parameter IN_WORDS = 8, REC_WORDS = 16, OUT_WORDS = 8,
    parameter IN_ID = 2, REC_ID = 2, OUT_ID = 1,
    parameter IN_LEN = 3, REC_LEN = 3, OUT_LEN = 2,
    parameter A = 5, P = 6, W = 8, CNT = 5, SHB = 3, X = 16,
    parameter [7:0] SYNAPSE = 0,
    parameter DIR = ""
) (
    input wire clk, rst, clearing,
    input wire [A:0] sweep,             // bank and slot
    input wire [1:0] memory,            // 0 input, 1 recurrent, 2 output; 3: the lane does not walk
    input wire start, output wire busy, input wire [A-1:0] first, last, input wire none,
    input wire [15:0] first_mask, last_mask, input wire [A-1:0] n_inner, inner_base, input wire [SHB-1:0] shift,
    input wire bank,                    // of counts that arrive
    input wire in_we, in_bank, input wire [A-1:0] in_addr, input wire [CNT-1:0] in_count, input wire count_we,  // lint_off UNUSEDSIGNAL
    input wire count_bank,              // of counts of this step
    input wire [A-1:0] count_addr, input wire [CNT-1:0] count_data, input wire map_we, input wire [15:0] map_data,
    input wire other_bank,              // reads of others, while the lane does not walk
    input wire [A-1:0] other_slot, output wire [CNT-1:0] count, output wire [15:0] map, input wire i_ren,
    input wire [A-1:0] other_i_raddr, output wire [X-1:0] i_rdata, input wire other_i_we,
    input wire [A-1:0] other_i_waddr, input wire [X-1:0] other_i_wdata,
    input wire prog_we, input wire [7:0] prog_block, input wire [P-1:0] prog_addr, input wire [31:0] prog_data
);
    localparam C = N > 1 ? $clog2(N) : 1;
    localparam CI = N_IN > 1 ? $clog2(N_IN) : 1;
    localparam G = C > 4 ? C - 4 : 1, GI = CI > 4 ? CI - 4 : 1;
    wire walking = memory != 3;
    wire by_target = memory == 0 ? IN_LAYOUT == 2 : memory == 1 ? REC_LAYOUT == 2 : OUT_LAYOUT == 2;
    wire is_dense = memory == 0 ? IN_LAYOUT == 0 : memory == 1 ? REC_LAYOUT == 0 : OUT_LAYOUT == 0;
    wire [A-5:0] group;
    wire [A-1:0] row, source, walk_raddr, walk_waddr, id;
    wire [P-1:0] row_start, ptr;
    wire [A-1:0] row_length;
    wire row_empty;
    wire [W-1:0] weight;
    wire [X-1:0] walk_wdata;
    wire walk_we;

    // counts and which of them are not 0: of input channels, and of neurons
    reg [CNT-1:0] in_counts [0:(2<<CI)-1];
    reg [CNT-1:0] counts [0:(2<<C)-1];
    reg [15:0] map_of_inputs [0:(2<<GI)-1];
    (* ram_style = "distributed" *) reg [15:0] map_of_neurons [0:(2<<G)-1];
    reg [CNT-1:0] in_q, count_q;
    reg [15:0] in_map_q, map_q;
    wire [CI:0] in_at = clearing ? {sweep[A], sweep[CI-1:0]} : {in_bank, in_addr[CI-1:0]};
    wire [GI:0] in_group = clearing ? {sweep[A], sweep[GI+3:4]} : {in_bank, in_addr[GI+3:4]};
    wire [15:0] in_bit = 16'd1 << in_addr[3:0];
    wire [A-1:0] slot = walking ? source : other_slot;  // lint_off UNUSEDSIGNAL
    wire [A-5:0] slot_group = walking ? group : other_slot[A-1:4];  // lint_off UNUSEDSIGNAL
    wire [A-1:0] written = clearing ? sweep[A-1:0] : count_addr;  // lint_off UNUSEDSIGNAL
    wire written_bank = clearing ? sweep[A] : count_bank;
    wire read_bank = walking ? bank : other_bank;
    always @(posedge clk) begin
        in_q <= in_counts[{bank, source[CI-1:0]}];
        if (clearing || in_we) in_counts[in_at] <= clearing ? {CNT{1'b0}} : in_count;
        count_q <= counts[{read_bank, slot[C-1:0]}];
        if (clearing || count_we) counts[{written_bank, written[C-1:0]}] <= clearing ? {CNT{1'b0}} : count_data;
        in_map_q <= map_of_inputs[{bank, group[GI-1:0]}];
        if (clearing || in_we)
            map_of_inputs[in_group] <= clearing ? 16'd0 : in_count != 0 ? map_of_inputs[in_group] | in_bit : map_of_inputs[in_group] & ~in_bit;
        map_q <= map_of_neurons[{read_bank, slot_group[G-1:0]}];
        if (clearing || map_we) map_of_neurons[{written_bank, written[G+3:4]}] <= clearing ? 16'd0 : map_data;
    end
    assign count = count_q;
    assign map = map_q;

    lif_walker #(.A(A), .P(P), .W(W), .CNT(CNT), .SHB(SHB), .X(X)) walker (
        .clk(clk), .rst(rst), .start(start), .busy(busy), .is_dense(is_dense), .by_target(by_target),
        .first(first), .last(last), .none(none), .first_mask(first_mask), .last_mask(last_mask),
        .inner_base(inner_base), .shift(shift), .group(group), .spikes(memory == 0 ? in_map_q : map_q),
        .row(row), .row_start(row_start), .row_length(row_length), .row_empty(row_empty), .source(source), .count(memory == 0 ? in_q : count_q),
        .ptr(ptr), .s1_id(id), .s1_weight(weight), .i_raddr(walk_raddr), .i_rdata(i_rdata),
        .i_we(walk_we), .i_waddr(walk_waddr), .i_wdata(walk_wdata)
    );

    // currents
    reg [X-1:0] currents [0:N-1];
    reg [X-1:0] i_q;
    wire [A-1:0] i_raddr = walking ? walk_raddr : other_i_raddr;  // lint_off UNUSEDSIGNAL
    wire [A-1:0] i_waddr = clearing ? sweep[A-1:0] : walking ? walk_waddr : other_i_waddr;  // lint_off UNUSEDSIGNAL
    wire i_we = clearing ? sweep[A-1:0] < N : walking ? walk_we : other_i_we;  // lint_off WIDTHEXPAND
    always @(posedge clk) begin
        if (walking || i_ren) i_q <= currents[i_raddr[C-1:0]];
        if (i_we) currents[i_waddr[C-1:0]] <= clearing ? {X{1'b0}} : walking ? walk_wdata : other_i_wdata;
    end
    assign i_rdata = i_q;

    // weights
    wire [P-1:0] start_of [0:2];
    wire [A-1:0] length_of [0:2];
    wire [2:0] empty_of;
    wire [A-1:0] id_of [0:2];
    wire [W-1:0] weight_of [0:2];
    wire [A-1:0] table_row = clearing ? sweep[A-1:0] : row;
    assign row_start = start_of[memory];
    assign row_length = length_of[memory];
    assign row_empty = empty_of[memory];
    assign id = id_of[memory];
    assign weight = weight_of[memory];
    lif_weights #(
        .LAYOUT(IN_LAYOUT), .WORDS(IN_WORDS), .ROWS(IN_LAYOUT == 2 ? IN_REACH : N_IN), .A(A), .P(P), .W(W), .ID(IN_ID),
        .LEN(IN_LEN), .WEIGHTS_BLOCK(8'd12 + SYNAPSE), .LENGTHS_BLOCK(8'd8 + SYNAPSE), .FROM_FILES(DIR != ""),
        .WEIGHTS_FILE({DIR, SYNAPSE == 0 ? "/input_weights_0.mem" : "/input_weights_1.mem"}),
        .LENGTHS_FILE({DIR, SYNAPSE == 0 ? "/input_lengths_0.mem" : "/input_lengths_1.mem"})
    ) into (
        .clk(clk), .clearing(clearing), .row(table_row), .n_inner(n_inner), .start(start_of[0]), .length(length_of[0]), .empty(empty_of[0]),
        .ptr(ptr), .id(id_of[0]), .weight(weight_of[0]),
        .prog_we(prog_we), .prog_block(prog_block), .prog_addr(prog_addr), .prog_data(prog_data)
    );
    lif_weights #(
        .LAYOUT(REC_LAYOUT), .WORDS(REC_WORDS), .ROWS(N_HID), .A(A), .P(P), .W(W), .ID(REC_ID),
        .LEN(REC_LEN), .WEIGHTS_BLOCK(8'd20 + SYNAPSE), .LENGTHS_BLOCK(8'd16 + SYNAPSE), .FROM_FILES(DIR != ""),
        .WEIGHTS_FILE({DIR, SYNAPSE == 0 ? "/recurrent_weights_0.mem" : "/recurrent_weights_1.mem"}),
        .LENGTHS_FILE({DIR, SYNAPSE == 0 ? "/recurrent_lengths_0.mem" : "/recurrent_lengths_1.mem"})
    ) between (
        .clk(clk), .clearing(clearing), .row(table_row), .n_inner(n_inner), .start(start_of[1]), .length(length_of[1]), .empty(empty_of[1]),
        .ptr(ptr), .id(id_of[1]), .weight(weight_of[1]),
        .prog_we(prog_we), .prog_block(prog_block), .prog_addr(prog_addr), .prog_data(prog_data)
    );
    generate
        if (HAS_OUT) begin : g_out
            lif_weights #(
                .LAYOUT(OUT_LAYOUT), .WORDS(OUT_WORDS), .ROWS(OUT_LAYOUT == 2 ? N_OUT : OUT_REACH), .A(A), .P(P), .W(W), .ID(OUT_ID),
                .LEN(OUT_LEN), .WEIGHTS_BLOCK(8'd28 + SYNAPSE), .LENGTHS_BLOCK(8'd24 + SYNAPSE), .FROM_FILES(DIR != ""),
                .WEIGHTS_FILE({DIR, SYNAPSE == 0 ? "/output_weights_0.mem" : "/output_weights_1.mem"}),
                .LENGTHS_FILE({DIR, SYNAPSE == 0 ? "/output_lengths_0.mem" : "/output_lengths_1.mem"})
            ) out_of (
                .clk(clk), .clearing(clearing), .row(table_row), .n_inner(n_inner), .start(start_of[2]), .length(length_of[2]), .empty(empty_of[2]),
                .ptr(ptr), .id(id_of[2]), .weight(weight_of[2]),
                .prog_we(prog_we), .prog_block(prog_block), .prog_addr(prog_addr), .prog_data(prog_data)
            );
        end else begin : g_no_out
            assign start_of[2] = 0;
            assign length_of[2] = 0;
            assign empty_of[2] = 1;
            assign id_of[2] = 0;
            assign weight_of[2] = 0;
        end
    endgenerate
endmodule
`default_nettype wire
